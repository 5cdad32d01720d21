/**
 * Where the model computes: messages of model.js are answered.
 *
 * No module, as LiteRT's own scripts are none: modules are imported when the model is opened.
 */

const FOLDER = new URL("..", location);

let classifier;
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true });

async function read(name) {
  const response = await fetch(new URL(name, FOLDER));
  if (!response.ok) throw new Error(`${name} is missing in the page's folder`);
  return new Uint8Array(await response.arrayBuffer());
}

/** An ImageBitmap as preprocess.js takes it; transparency lies on white. */
function pictureOf(bitmap) {
  const { width, height } = bitmap;
  const lines = (from, to) => {
    const count = to - from;
    if (canvas.width !== width || canvas.height !== count) Object.assign(canvas, { width, height: count });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, 0, from, width, count, 0, 0, width, count);
    return context.getImageData(0, 0, width, count).data;
  };
  return { width, height, lines };
}

async function classify(bitmap) {
  try {
    return await classifier.classify(pictureOf(bitmap));
  } finally {
    bitmap.close();
  }
}

const answers = {
  async open(build) {
    const [{ Classifier }, { openModel }] = await Promise.all([import("./classifier.js"), import("./litert.js")]);
    classifier = await Classifier.open((bytes, manifest) => openModel(bytes, manifest, build), read);
    // The first run allocates: not on the user's first frame.
    await classifier.infer(new Uint8Array(classifier.settings.size ** 2 * 3));
    return classifier.manifest;
  },
  classify,
  async check() {
    const { tolerance, images } = await classifier.golden();
    let largest = 0, same = 0;
    for (const { file, probabilities } of images) {
      const png = new Blob([await classifier.pictureOf(`golden/${file}`)], { type: "image/png" });
      const bitmap = await createImageBitmap(png, { colorSpaceConversion: "none" });
      const { width, height, lines } = pictureOf(bitmap);
      const pixels = lines(0, height).filter((_, at) => at % 4 !== 3);
      const found = (await classifier.infer(new Uint8Array(pixels))).probabilities;
      bitmap.close();
      same += found.indexOf(Math.max(...found)) === probabilities.indexOf(Math.max(...probabilities));
      largest = Math.max(largest, ...found.map((value, at) => Math.abs(value - probabilities[at])));
    }
    return { pictures: images.length, same, largest, tolerance };
  },
};

self.onmessage = async ({ data: { id, what, value } }) => {
  try {
    postMessage({ id, answer: await answers[what](value) });
  } catch (error) {
    postMessage({ id, error: error.message ?? String(error) });
  }
};
