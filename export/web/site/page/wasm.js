/** What this browser's WebAssembly can do, by short programs that are valid only where it can. */

const VECTORS = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11);
const RELAXED_VECTORS = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 0, 253, 15, 65, 0, 253, 15,
  253, 128, 2, 11);

/** Which of LiteRT's builds is the fastest that runs here; undefined: none does. */
export function litertBuild() {
  if (!globalThis.WebAssembly || !WebAssembly.validate(VECTORS)) return undefined;
  return WebAssembly.validate(RELAXED_VECTORS) ? "" : "_compat";
}
