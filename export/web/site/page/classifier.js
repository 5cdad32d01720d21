/** A bundle of edge-fgir, opened and asked: what runtime/classifier.py is in Python. */

import { noveltyOf } from "./novelty.js";
import { preprocess } from "./preprocess.js";

// In the second, too, what the first of several variants needs lies where it always did.
const SCHEMAS = ["edge-fgir/bundle/1", "edge-fgir/bundle/2"];

export class Classifier {
  /**
   * Opens a bundle.
   *
   * @param openModel Opens its model: (bytes, manifest) => Promise<pixels => Promise<outputs by name>>.
   * @param read Returns the bytes of one of its files: name => Promise<Uint8Array>.
   */
  static async open(openModel, read) {
    const text = (bytes) => new TextDecoder().decode(bytes);
    const manifest = JSON.parse(text(await read("manifest.json")));
    if (!SCHEMAS.includes(manifest.schema))
      throw new Error(`the bundle is of schema ${manifest.schema}, not ${SCHEMAS.join(" or ")}`);
    const listed = new Map(manifest.files.map((file) => [file.path, file]));
    const checked = async (name) => {
      const bytes = await read(name);
      const found = await sha256(bytes);
      if (found !== undefined && found !== listed.get(name)?.sha256)
        throw new Error(`${name} is not the file that was exported; copy the folder again`);
      return bytes;
    };
    const json = async (name) => JSON.parse(text(await checked(name)));
    const [labels, settings, calibration] = await Promise.all(
      [checked("labels.txt"), json("preprocess.json"), json("calibration.json")]);
    const looks = manifest.features && listed.has("novelty.json");
    const novelty = looks && {
      ...(await json("novelty.json")),
      of: noveltyOf(await checked("novelty.npy"), manifest.features.size),
    };
    return new Classifier({
      run: await openModel(await checked(manifest.model_file), manifest),
      manifest,
      labels: text(labels).split("\n").slice(0, -1),
      settings,
      calibration,
      novelty,
      golden: () => json("golden/expected.json"),
      pictureOf: checked,
    });
  }

  constructor(contents) {
    Object.assign(this, contents);
  }

  /** Answers for one picture, which is what preprocess.js takes. */
  async classify(picture) {
    const start = performance.now();
    const pixels = preprocess(picture, this.settings);
    const ready = performance.now();
    const { probabilities, features } = await this.infer(pixels);
    const inferMs = performance.now() - ready;
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    const index = order[0], score = probabilities[index];
    const novelty = this.novelty ? this.novelty.of(features) : null;
    return {
      label: this.labels[index],
      index,
      score,
      novelty,
      isUnknown: score < this.calibration.unknown_threshold || (novelty !== null && novelty > this.novelty.threshold),
      top: order.slice(0, 5).map((at) => [this.labels[at], probabilities[at]]),
      preprocessMs: ready - start,
      inferMs,
    };
  }

  /** Returns the model's outputs for size x size x 3 bytes RGB. */
  async infer(pixels) {
    const { output, features } = this.manifest;
    const outputs = await this.run(pixels);
    const probabilities = outputs[output.name];
    if (!probabilities.every(Number.isFinite)) throw new Error("the model answers what is no number");
    return { probabilities, features: features && outputs[features.output] };
  }
}

/** In hexadecimal digits; undefined on a page that did not come by https or from this device. */
async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
