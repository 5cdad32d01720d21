// What test_web_modules.py asks of the page's modules: a question on standard input, its answer as JSON.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const [site] = process.argv.slice(2);
const load = (name) => import(`${site}/page/${name}`);
const question = JSON.parse(readFileSync(0));

/** The picture of docs/preprocessing.md, read as a photograph would be. */
function picture(height, width) {
  const lines = (from, to) => {
    const rgba = new Uint8Array((to - from) * width * 4);
    let at = 0;
    for (let y = from; y < to; y++)
      for (let x = 0; x < width; x++, at++)
        for (let c = 0; c < 3; c++, at++)
          rgba[at] = (((3 * x * x + 5 * y * y + 7 * x * y + 9000 * c) >> 12) + ((13 * x + 29 * y + 71 * c) & (x ^ y))) & 255;
    return rgba;
  };
  return { height, width, lines };
}

const answers = {
  async vectors(cases) {
    const { preprocess } = await load("preprocess.js");
    return cases.map(({ height, width, preprocess: settings }) =>
      createHash("sha256").update(preprocess(picture(height, width), settings)).digest("hex"));
  },
  async novelty({ space, size, features }) {
    const { noveltyOf } = await load("novelty.js");
    const novelty = noveltyOf(Buffer.from(space, "base64"), size);
    return features.map(novelty);
  },
  async facts(manifest) {
    const { factsOf } = await load("words.js");
    return factsOf(manifest);
  },
};

for (const [name, asked] of Object.entries(question)) {
  try {
    console.log(JSON.stringify({ answer: await answers[name](asked) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
