// Opens a bundle of target arm with onnxruntime-node and classifies pictures. The bundle is
// read, and pictures are resized, by the very modules that the page for browsers has.
//
//   npm install --ignore-scripts
//   node classify.js birds.fgir photo.jpg

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import * as ort from "onnxruntime-node";
import sharp from "sharp";

import { Classifier } from "../../export/web/site/page/classifier.js";

/** Opens a model: (bytes, manifest) => pixels => its outputs by name. */
async function openModel(bytes, { runtime, input }) {
  if (runtime !== "onnxruntime") throw new Error(`the bundle is for ${runtime}, not for onnxruntime`);
  const session = await ort.InferenceSession.create(bytes);
  return async (pixels) => {
    const results = await session.run({ [input.name]: new ort.Tensor("uint8", pixels, input.shape) });
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data]));
  };
}

/** Reads a picture file: upright, transparency on white, RGBA. */
async function pictureOf(file) {
  const image = sharp(file).rotate().flatten({ background: "white" }).toColourspace("srgb").ensureAlpha();
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const line = 4 * info.width;
  return { width: info.width, height: info.height, lines: (from, to) => data.subarray(from * line, to * line) };
}

const [bundle, ...files] = process.argv.slice(2);
if (!files.length) {
  console.error("usage: node classify.js BUNDLE PICTURE...");
  process.exit(2);
}
try {
  const classifier = await Classifier.open(openModel, (name) => readFile(join(bundle, name)));
  for (const file of files) {
    const { label, score, isUnknown } = await classifier.classify(await pictureOf(file));
    console.log(JSON.stringify({ file, label, score, is_unknown: isUnknown }));
  }
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}
