/**
 * From a picture to the model's input, byte for byte as docs/preprocessing.md specifies it.
 *
 * A picture is `{width, height, lines(from, to)}`; `lines` returns the pixels of its lines
 * from ... to - 1 as RGBA bytes, so that a photograph of any size is read in bands.
 */

const LARGEST = 16; // longest side of a block, pixels
const BAND = 1 << 20; // pixels that are read at a time
const BITS = 22; // of a weight of the kernel, behind the point

/** Returns the model's input, size x size x 3 bytes RGB, for `settings` as preprocess.json has them. */
export function preprocess(picture, settings) {
  if (settings.view_size) {
    const view = settings.view_size;
    return cubicSamples(preprocess(picture, { ...settings, size: view, view_size: 0 }), view, settings.size);
  }
  const { size, kernel = "bilinear", antialias = true, crop_fraction = 1, shrink = "kernel" } = settings;
  const side = roundHalfToEven(size / crop_fraction);
  const start = Math.floor((side - size) / 2);
  const { width, height } = picture;
  if (width === side && height === side) return cut(asRgb(picture), side, start, size);
  if (!antialias) {
    if (kernel !== "bilinear") throw new Error(`points are sampled bilinear, not ${kernel}`);
    return cut(sampled(picture, side), side, start, size);
  }
  if (shrink === "kernel") {
    const narrow = resizedAcross(asRgb(picture), height, width, weights(width, 0, width, side, kernel));
    return cut(resizedDown(narrow, side, weights(height, 0, height, side, kernel)), side, start, size);
  }
  const [down, across] = blockOf(height, width, side);
  const rows = Math.ceil(height / down), columns = Math.ceil(width / across);
  const means = down === 1 ? asRgb(picture) : blockMeans(picture, down, across);
  const bounds = (length, block) => [start, start + size].map((edge) => (edge * length) / (side * block));
  const narrow = resizedAcross(means, rows, columns, weights(columns, ...bounds(width, across), size, kernel));
  return resizedDown(narrow, size, weights(rows, ...bounds(height, down), size, kernel));
}

/** Returns `pixels`, v x v x 3, sampled at n x n points by a cubic kernel without antialias. */
function cubicSamples(pixels, v, n) {
  const taps = Array.from({ length: n }, (_, i) => cubicTaps(i, v, n));
  const made = new Uint8Array(n * n * 3);
  for (let y = 0; y < n; y++) {
    for (let x = 0; x < n; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 2 ** 21;
        for (const [row, down] of taps[y]) {
          for (const [column, across] of taps[x]) sum += down * across * pixels[(row * v + column) * 3 + c];
        }
        made[(y * n + x) * 3 + c] = Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255);
      }
    }
  }
  return made;
}

/** Returns the four places that point `i` is made of, and their weights in 2048ths. */
function cubicTaps(i, v, n) {
  const twice = (2 * i + 1) * v - n;
  const first = Math.floor(twice / (2 * n));
  const share = (twice - first * 2 * n) / (2 * n);
  const weights = [-1, 0, 1, 2].map((j) => Math.floor(cubic(Math.abs(share - j)) * 2048 + 0.5));
  weights[1] += 2048 - weights.reduce((sum, weight) => sum + weight);
  return weights.map((weight, j) => [Math.min(Math.max(first + j - 1, 0), v - 1), weight]);
}

function cubic(x) {
  return x < 1 ? (1.25 * x - 2.25) * x * x + 1 : ((-0.75 * x + 3.75) * x - 6) * x + 3;
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  return low + (value - low > 0.5 || (value - low === 0.5 && low % 2 === 1));
}

function blockOf(height, width, side) {
  const [down, across] = [height, width].map((length) =>
    Math.min(LARGEST, Math.floor((8 * length) / (11 * side)), Math.floor(length / (2 * side)) + 1));
  return Math.min(down, across) < 2 ? [1, 1] : [down, across];
}

function asRgb({ width, height, lines }) {
  const rgba = lines(0, height);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

/** Means of blocks, rounded half up; beyond the picture its last line and column are repeated. */
function blockMeans({ width, height, lines }, down, across) {
  const rows = Math.ceil(height / down), columns = Math.ceil(width / across);
  const means = new Uint8Array(rows * columns * 3);
  const sums = new Uint16Array(width * 3);
  const count = down * across, half = count >> 1;
  const band = Math.max(1, Math.floor(BAND / (width * down)));
  for (let first = 0; first < rows; first += band) {
    const top = first * down;
    const rgba = lines(top, Math.min(height, (first + band) * down));
    for (let row = first; row < Math.min(rows, first + band); row++) {
      sums.fill(0);
      for (let line = 0; line < down; line++) {
        let from = (Math.min(row * down + line, height - 1) - top) * width * 4;
        for (let to = 0; to < sums.length; from += 4) {
          sums[to++] += rgba[from];
          sums[to++] += rgba[from + 1];
          sums[to++] += rgba[from + 2];
        }
      }
      for (let column = 0; column < columns; column++) {
        let red = half, green = half, blue = half;
        for (let x = column * across; x < (column + 1) * across; x++) {
          const at = 3 * Math.min(x, width - 1);
          red += sums[at];
          green += sums[at + 1];
          blue += sums[at + 2];
        }
        const to = 3 * (row * columns + column);
        means[to] = red / count;
        means[to + 1] = green / count;
        means[to + 2] = blue / count;
      }
    }
  }
  return means;
}

const KERNELS = {
  bilinear: { reach: 1, at: (x) => (x < 1 ? 1 - x : 0) },
  bicubic: {
    reach: 2,
    at: (x) => {
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

/** Along one axis of n values: for each of `size` pixels the first value that counts, and integer weights. */
function weights(n, from, to, size, kernel) {
  const { reach, at } = KERNELS[kernel];
  const low = Math.fround(from);
  const scale = Math.fround(Math.fround(to) - low) / size;
  const wide = Math.max(scale, 1), support = reach * wide;
  return Array.from({ length: size }, (_, pixel) => {
    const centre = low + (pixel + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), n);
    const values = [];
    let sum = 0;
    for (let j = first; j < last; j++) {
      const value = at(Math.abs((j - centre + 0.5) * (1 / wide)));
      values.push(value);
      sum += value;
    }
    const rounded = values.map((value) => Math.trunc((value / sum) * 2 ** BITS + (value < 0 ? -0.5 : 0.5)));
    return { first, weights: Int32Array.from(rounded) };
  });
}

const held = (sum) => Math.max(0, Math.min(255, sum >> BITS));

function resizedAcross(pixels, rows, columns, axis) {
  const result = new Uint8Array(rows * axis.length * 3);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (const { first, weights } of axis) {
      let red = 1 << (BITS - 1), green = red, blue = red;
      let from = 3 * (row * columns + first);
      for (let j = 0; j < weights.length; j++) {
        const weight = weights[j];
        red += weight * pixels[from++];
        green += weight * pixels[from++];
        blue += weight * pixels[from++];
      }
      result[to++] = held(red);
      result[to++] = held(green);
      result[to++] = held(blue);
    }
  }
  return result;
}

function resizedDown(pixels, columns, axis) {
  const line = columns * 3;
  const result = new Uint8Array(axis.length * line);
  let to = 0;
  for (const { first, weights } of axis) {
    for (let x = 0; x < line; x++) {
      let sum = 1 << (BITS - 1);
      let from = first * line + x;
      for (let j = 0; j < weights.length; j++, from += line) sum += weights[j] * pixels[from];
      result[to++] = held(sum);
    }
  }
  return result;
}

/** Without antialias: points are sampled between their four neighbours. */
function sampled(picture, side) {
  const { width, height } = picture;
  const rgb = asRgb(picture);
  const result = new Uint8Array(side * side * 3);
  const places = (length) => Array.from({ length: side }, (_, pixel) => {
    const at = (pixel + 0.5) * (length / side) + 1.5;
    const whole = Math.floor(at);
    const within = (index) => Math.max(0, Math.min(length - 1, index));
    return { before: within(whole - 2), behind: within(whole - 1), part: at - whole };
  });
  const across = places(width);
  let to = 0;
  for (const y of places(height)) {
    for (const x of across) {
      for (let channel = 0; channel < 3; channel++) {
        const value = (row, column) => rgb[3 * (row * width + column) + channel];
        const between = (row) => value(row, x.before) + (value(row, x.behind) - value(row, x.before)) * x.part;
        const upper = between(y.before);
        result[to++] = upper + (between(y.behind) - upper) * y.part;
      }
    }
  }
  return result;
}

function cut(pixels, side, start, size) {
  if (side === size) return pixels;
  const result = new Uint8Array(size * size * 3);
  for (let row = 0; row < size; row++) {
    const from = 3 * ((row + start) * side + start);
    result.set(pixels.subarray(from, from + 3 * size), 3 * row * size);
  }
  return result;
}
