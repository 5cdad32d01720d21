/** Whether a picture is like those that the model has learned from; as edge_fgir/runtime/novelty.py has it. */

const LEAST = 1e-12;
const MOST = 10;

/** Reads novelty.npy, the centre and the axes below it, and returns features => novelty. */
export function noveltyOf(npy, size) {
  const rows = readRows(npy, size);
  const [center, ...axes] = rows;
  return (features) => {
    let apart = 0, along = 0, length = 0;
    const difference = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      difference[i] = features[i] - center[i];
      apart += difference[i] ** 2;
      length += features[i] ** 2;
    }
    for (const axis of axes) {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += difference[i] * axis[i];
      along += sum * sum;
    }
    return Math.min(Math.sqrt(Math.max(apart - along, 0) / Math.max(length, LEAST)), MOST);
  };
}

/** A NumPy file of float16 in rows of `size`, written row by row or column by column. */
function readRows(npy, size) {
  const view = new DataView(npy.buffer, npy.byteOffset, npy.byteLength);
  const start = view.getUint8(6) === 1 ? 10 + view.getUint16(8, true) : 12 + view.getUint32(8, true);
  const header = new TextDecoder().decode(npy.subarray(10, start));
  const [, count, columns] = /'shape': \((\d+), (\d+)\)/.exec(header)?.map(Number) ?? [];
  if (!header.includes("'<f2'") || columns !== size || view.byteLength !== start + 2 * count * size)
    throw new Error("novelty.npy is not the space of this model's features");
  const [down, across] = header.includes("'fortran_order': True") ? [1, count] : [size, 1];
  const value = (row, column) => half(view.getUint16(start + 2 * (row * down + column * across), true));
  return Array.from({ length: count }, (_, row) =>
    Float32Array.from({ length: size }, (_, column) => value(row, column)));
}

/** The number of 16 bits: sign, 5 of the exponent, 10 of the fraction. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
