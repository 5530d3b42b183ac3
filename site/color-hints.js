// Hints: colors that the visitor asks for. Arithmetic as in colorlib/hints.py; a test compares.

import { AB_SCALE, TRIANGLE, mixtures, resampleColumns, resampleRow } from "./color-math.js";

const MOST_CHOICES = 6; // colors that are offered
const LEAST_SHARE = 0.04; // how likely they are at least

/**
 * Change the network's colors by hints: `Hinted.apply_hints`.
 *
 * @param seen {ab, described, height, width, scale} of one photo; one pixel of `described` is
 *   `scale` × `scale` pixels of `ab`.
 * @param hints [{x, y, ab}]; x and y run from 0 to 1. Of two at one pixel, the later one counts.
 * @param rules {strength, tolerance}.
 * @returns {Float32Array} ab, as large as `seen.ab`.
 */
export function applyHints({ ab, described, height, width, scale }, hints, rules) {
  const [rows, columns] = [height / scale, width / scale];
  const painted = shrink(ab, height, width, scale);
  const spread = spreadHints(painted, inCells(hints, height, width, scale), described, rules);
  const changed = new Float32Array(ab.length);
  for (const channel of [0, 1]) {
    const change = new Float32Array(rows * columns);
    const from = channel * change.length;
    for (let i = 0; i < change.length; i++) change[i] = spread[from + i] - painted[from + i];
    const large = enlarge(change, rows, columns, scale);
    for (let i = 0, j = channel * large.length; i < large.length; i++, j++) {
      changed[j] = Math.min(1, Math.max(-1, ab[j] + large[i]));
    }
  }
  return changed;
}

/**
 * Give each pixel its share of the colors of hints: `spread_hints`.
 *
 * @param {Float32Array} painted a* and then b*, scaled.
 * @param cells [{cell, ab}]: which pixel, and the color asked for.
 * @param {Float32Array} described channel after channel.
 */
export function spreadHints(painted, cells, described, { strength, tolerance }) {
  const size = painted.length / 2;
  const channels = described.length / size;
  const hints = cells.map(({ cell, ab: wanted }) => {
    const [a, b] = [painted[cell], painted[size + cell]];
    const apart = ((wanted[0] - a) ** 2 + (wanted[1] - b) ** 2) / tolerance ** 2;
    const kept = Math.exp(-apart); // a small correction shifts the colors, so that shades stay
    const added = [wanted[0] - kept * a, wanted[1] - kept * b];
    return { cell, added, replaced: 1 - kept, weight: 0 };
  });
  const spread = new Float32Array(painted);
  for (let i = 0; i < size; i++) {
    let total = 1; // the weight of "no change"
    for (const hint of hints) {
      let apart = 0;
      for (let j = i, k = hint.cell, c = 0; c < channels; c++, j += size, k += size) {
        apart += (described[j] - described[k]) ** 2;
      }
      hint.weight = Math.exp(strength - apart);
      total += hint.weight;
    }
    for (const { added, replaced, weight } of hints) {
      const share = weight / total;
      spread[i] += share * (added[0] - replaced * painted[i]);
      spread[size + i] += share * (added[1] - replaced * painted[size + i]);
    }
  }
  return spread;
}

/**
 * Colors that the network finds likely at a place, likeliest first: [{ab, share}].
 *
 * Each is a peak among the bins, with the share of the bins around it, as `Board.likely` finds it.
 * A bin around several peaks is divided equally between them.
 *
 * @param seen {logits, height, width, scale} of one photo.
 * @param rules {bin, bins}: the side and the middles of the bins, in CIE units.
 */
export function likelyColors({ logits, height, width, scale }, x, y, { bin, bins }) {
  const [rows, columns] = [height / scale, width / scale];
  const size = rows * columns;
  const cell = Math.floor(y * rows) * columns + Math.floor(x * columns);
  const powers = bins.map((_, i) => Math.exp(logits[i * size + cell]));
  const sum = powers.reduce((total, power) => total + power, 0);
  const all = [...bins.keys()];
  const isNear = (i, j) => [0, 1].every((c) => Math.abs(bins[i][c] - bins[j][c]) <= bin);
  const tops = all.filter((i) => all.every((j) => powers[j] <= powers[i] || !isNear(i, j)));
  const claims = all.map((j) => tops.filter((i) => isNear(i, j)).length); // tops that share a bin
  const peaks = tops.map((i) => {
    const near = all.filter((j) => isNear(i, j));
    const total = near.reduce((part, j) => part + powers[j] / claims[j], 0);
    const mean = [0, 1].map(
      (c) => near.reduce((part, j) => part + (powers[j] / claims[j]) * bins[j][c], 0) / total,
    );
    return { ab: mean.map((value) => value / AB_SCALE), share: total / sum };
  });
  peaks.sort((one, other) => other.share - one.share);
  return peaks.slice(0, MOST_CHOICES).filter(({ share }) => share >= LEAST_SHARE);
}

/** The hints as cells of a coarser picture; hints in one cell are averaged. */
function inCells(hints, height, width, scale) {
  const pixels = new Map();
  for (const { x, y, ab } of hints) {
    const [row, column] = [Math.floor(y * height), Math.floor(x * width)];
    const cell = Math.floor(row / scale) * (width / scale) + Math.floor(column / scale);
    pixels.set(row * width + column, { cell, ab });
  }
  const cells = new Map();
  for (const { cell, ab } of pixels.values()) cells.set(cell, [...(cells.get(cell) ?? []), ab]);
  return [...cells].map(([cell, colors]) => ({
    cell,
    ab: [0, 1].map((c) => colors.reduce((sum, color) => sum + color[c], 0) / colors.length),
  }));
}

/** Average ab over squares of `scale` pixels. */
function shrink(ab, height, width, scale) {
  const small = new Float32Array(ab.length / scale ** 2);
  for (let i = 0; i < ab.length; i++) {
    const [row, column] = [Math.floor(i / width), i % width]; // b* follows below a*
    const cell = Math.floor(row / scale) * (width / scale) + Math.floor(column / scale);
    small[cell] += ab[i] / scale ** 2;
  }
  return small;
}

/** Enlarge one channel bilinearly. */
function enlarge(channel, rows, columns, scale) {
  const wide = new Float32Array(rows * columns * scale);
  const plan = mixtures(columns, columns * scale, TRIANGLE);
  for (let row = 0; row < rows; row++) {
    resampleRow(channel, row * columns, wide, row * columns * scale, plan);
  }
  return resampleColumns(wide, columns * scale, mixtures(rows, rows * scale, TRIANGLE));
}
