// Color arithmetic of the page, as in colorlib/color.py and colorlib/coloring.py; a test compares.
//
// A photo is kept as the luminance Y of its pixels in 16 bits, which is all that its gray shares
// with its colored version. Tables turn Y into lightness and light into sRGB.

export const AB_SCALE = 110; // the network's ab are a* and b* divided by this

const STEPS = 65535;
const ROUNDED = 2 / 255; // sRGB may miss 0..1 by this much, because colors are rounded to bytes
const XYZ_FROM_RGB = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
];
const WHITE = [0.95047, 1, 1.08883]; // D65, 2 degrees
const KNEE = 6 / 29; // below it, the curve of Lab is a straight line
const SLOPE = 1 / (3 * KNEE ** 2);

const gammaOff = (v) => (v > 0.04045 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92);
const gammaOn = (v) => (v > 0.0031308 ? 1.055 * v ** (1 / 2.4) - 0.055 : 12.92 * v);
const uncurve = (v) => (v > KNEE ? v * v * v : (v - 4 / 29) / SLOPE);
const labCurve = (v) => (v > KNEE ** 3 ? Math.cbrt(v) : SLOPE * v + 4 / 29);

const LIGHT = Float32Array.from({ length: 256 }, (_, i) => gammaOff(i / 255) * STEPS);
const BYTES = Uint8Array.from({ length: STEPS + 1 }, (_, i) => Math.round(255 * gammaOn(i / STEPS)));
const CURVE = Float32Array.from({ length: STEPS + 1 }, (_, i) => labCurve(i / STEPS));

// From the XYZ of a color, divided by those of white, to linear sRGB.
const RGB_FROM_XYZ = invert(XYZ_FROM_RGB.map((row, i) => row.map((value) => value / WHITE[i])));

function invert([[a, b, c], [d, e, f], [g, h, i]]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / determinant));
}

/** Fill `luminance` (16 bits) from the bytes of RGBA pixels. */
export function readLuminance(rgba, luminance) {
  const [red, green, blue] = XYZ_FROM_RGB[1];
  for (let i = 0, j = 0; i < luminance.length; i++, j += 4) {
    const y = red * LIGHT[rgba[j]] + green * LIGHT[rgba[j + 1]] + blue * LIGHT[rgba[j + 2]];
    luminance[i] = y + 0.5;
  }
}

/** Lightness as the network sees it, L* / 100 in 0..1, of 16-bit luminance. */
export function readLightness(luminance, lightness) {
  for (let i = 0; i < lightness.length; i++) lightness[i] = 1.16 * CURVE[luminance[i]] - 0.16;
}

/** 16-bit luminance of lightness, L* / 100 in 0..1: the inverse of `readLightness`. */
export function toLuminance(lightness) {
  return Uint16Array.from(lightness, (L) => STEPS * uncurve((L + 0.16) / 1.16) + 0.5);
}

/** Fill RGBA pixels with the gray of their luminance. */
export function paintGray(luminance, rgba) {
  for (let i = 0, j = 0; i < luminance.length; i++, j += 4) {
    rgba[j] = rgba[j + 1] = rgba[j + 2] = BYTES[luminance[i]];
    rgba[j + 3] = 255;
  }
}

/**
 * Fill RGBA pixels with colors: luminance (16 bits) joined with a* and b*.
 *
 * What no screen can show is cut where it leaves 0..1 in sRGB, and nowhere before: a negative X or
 * Z is the exact place of such a color, and cutting it there would also change the channels that
 * the screen can show.
 */
export function paintColors(luminance, a, b, rgba) {
  const [[rx, ry, rz], [gx, gy, gz], [bx, by, bz]] = RGB_FROM_XYZ.map((row) =>
    row.map((value) => value * STEPS),
  );
  const toByte = (v) => BYTES[v <= 0 ? 0 : v >= STEPS ? STEPS : (v + 0.5) | 0];
  for (let i = 0, j = 0; i < luminance.length; i++, j += 4) {
    const curve = CURVE[luminance[i]];
    const x = uncurve(curve + a[i] / 500);
    const y = luminance[i] / STEPS;
    const z = uncurve(curve - b[i] / 200);
    rgba[j] = toByte(rx * x + ry * y + rz * z);
    rgba[j + 1] = toByte(gx * x + gy * y + gz * z);
    rgba[j + 2] = toByte(bx * x + by * y + bz * z);
    rgba[j + 3] = 255;
  }
}

/** Make a color paler until a screen can show it at this L* / 100: `within_gamut` in colorlib. */
export function withinGamut(L, [a, b]) {
  for (let step = 64; step > 0; step--) {
    const factor = step / 64;
    if (canShow(L, factor * a, factor * b)) return [factor * a, factor * b];
  }
  return [0, 0];
}

function canShow(L, a, b) {
  const curve = (L + 0.16) / 1.16;
  const xyz = [curve + (AB_SCALE * a) / 500, curve, curve - (AB_SCALE * b) / 200].map(uncurve);
  return RGB_FROM_XYZ.every((row) => {
    const value = gammaOn(row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2]);
    return value > -ROUNDED && value < 1 + ROUNDED;
  });
}

// --- sizes ---

/** The height and width at which the network looks at a photo: `model_shape` in colorlib. */
export function modelShape(height, width, { multiple, size, longest }) {
  const scale = Math.min(
    size / Math.min(height, width),
    (longest * size) / Math.max(height, width),
  );
  const rounded = (side) => multiple * Math.max(1, roundHalfToEven((side * scale) / multiple));
  return [rounded(height), rounded(width)];
}

/** Python's `round`. */
export function roundHalfToEven(value) {
  const below = Math.floor(value);
  const isTie = value - below === 0.5;
  return isTie ? below + (below % 2) : Math.round(value);
}

export const TRIANGLE = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

// Keys' cubic with a = -1/2, which PyTorch takes when it antialiases.
export const CUBIC = {
  support: 2,
  weight(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  },
};

/** For each new pixel: which old ones it is made of, and how much of each. */
export function mixtures(from, to, kernel) {
  const scale = from / to;
  const stretch = Math.max(scale, 1); // shrinking averages over all that becomes one pixel
  const reach = kernel.support * stretch;
  return Array.from({ length: to }, (_, i) => {
    const center = scale * (i + 0.5);
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const end = Math.min(from, Math.floor(center + reach + 0.5));
    const weights = Float32Array.from({ length: end - first }, (_, j) =>
      kernel.weight((first + j - center + 0.5) / stretch),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Resample one row of pixels; `source` may begin anywhere. */
export function resampleRow(source, start, target, targetStart, plan) {
  for (let x = 0; x < plan.length; x++) {
    const { first, weights } = plan[x];
    let sum = 0;
    for (let j = 0; j < weights.length; j++) sum += weights[j] * source[start + first + j];
    target[targetStart + x] = sum;
  }
}

/** Resample the columns of a picture of `width`. */
export function resampleColumns(source, width, plan) {
  const target = new Float32Array(plan.length * width);
  plan.forEach(({ first, weights }, y) => {
    weights.forEach((weight, j) => {
      const from = (first + j) * width;
      for (let x = 0; x < width; x++) target[y * width + x] += weight * source[from + x];
    });
  });
  return target;
}

// --- chroma at the photo's size ---

/**
 * Prepare the network's chroma to be enlarged: at once to full width, later row by row.
 *
 * @param {Float32Array} ab a* and then b*, each divided by AB_SCALE, height × width.
 * @returns what `chromaRow` needs.
 */
export function prepareChroma(ab, height, width, fullHeight, fullWidth) {
  const columns = mixtures(width, fullWidth, TRIANGLE);
  const rows = Math.min(height, fullHeight);
  const planes = [0, 1].map((channel) => {
    const wide = new Float32Array(height * fullWidth);
    for (let y = 0; y < height; y++) {
      resampleRow(ab, (channel * height + y) * width, wide, y * fullWidth, columns);
    }
    for (let i = 0; i < wide.length; i++) wide[i] *= AB_SCALE;
    return rows === height
      ? wide
      : resampleColumns(wide, fullWidth, mixtures(height, rows, TRIANGLE));
  });
  return { planes, rows, fullHeight, fullWidth };
}

/** Write the a* and b* of one row of the photo to `a` and `b`, from `start` on. */
export function chromaRow({ planes, rows, fullHeight, fullWidth }, row, a, b, start) {
  const position = Math.min(rows - 1, Math.max(0, ((row + 0.5) * rows) / fullHeight - 0.5));
  const above = Math.floor(position);
  const below = Math.min(above + 1, rows - 1);
  const weight = position - above;
  [a, b].forEach((target, channel) => {
    const plane = planes[channel];
    for (let x = 0; x < fullWidth; x++) {
      const from = plane[above * fullWidth + x];
      target[start + x] = from + weight * (plane[below * fullWidth + x] - from);
    }
  });
}
