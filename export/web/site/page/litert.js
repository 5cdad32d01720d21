/** LiteRT in WebAssembly, on one thread: no host has to send headers that would allow more. */

import { loadAndCompile, loadLiteRt, Tensor } from "../litert/core.js";

const FOLDER = new URL("../litert/", import.meta.url);
const OPTIONS = { accelerator: "wasm", cpuOptions: { numThreads: 1 } };

/** Opens a model: (bytes, manifest) => pixels => its outputs by name. */
export async function openModel(bytes, manifest, build) {
  // Its script would look beside the worker's own file.
  globalThis.Module = { locateFile: (name) => new URL(name, FOLDER).href };
  await loadLiteRt(new URL(`litert_wasm${build}_internal.js`, FOLDER).href);
  const model = await loadAndCompile(bytes, OPTIONS);
  const { input, output, features } = manifest;
  return async (pixels) => {
    const given = new Tensor(pixels, input.shape);
    const results = await model.run([given]);
    // They lie in WebAssembly's memory, which is not freed by itself.
    const values = await Promise.all(results.map(async (result) => Float32Array.from(await result.data())));
    for (const tensor of [given, ...results]) tensor.delete();
    const [probabilities, told] = values;
    return { [output.name]: probabilities, ...(features && { [features.output]: told }) };
  };
}
