// The worker of the page: it colors photos, so that the page answers meanwhile.
//
// In:  {type: "load", model, wasm, rules, ort} once, then {type: "color", job, bitmap}, and
//      {type: "hints", job, hints} to color the same photo again.
// Out: "loaded"; for each job "gray", "seen", "strip"s and "done", or "failed". With hints, a
//      "preview" comes in place of "gray" and "seen".
// A newer job ends an older one.

import { applyHints } from "./color-hints.js";
import {
  CUBIC,
  chromaRow,
  mixtures,
  modelShape,
  paintColors,
  paintGray,
  prepareChroma,
  readLightness,
  readLuminance,
  resampleColumns,
  resampleRow,
} from "./color-math.js";

const STRIP_PIXELS = 2 ** 18; // made at a time, so that floats of the whole photo are never in memory
const PREVIEW = 2048; // longer side of the pictures that are shown but never saved

let ort, session, rules;
let colored; // the photo that was colored last, for hints
let latest = 0;
let queue = Promise.resolve();

class Outdated extends Error {}

onmessage = ({ data }) => {
  if (data.job) latest = data.job;
  queue = queue
    .then(() => ({ load, color, hints: colorAgain })[data.type](data))
    .catch((error) => {
      if (!(error instanceof Outdated)) {
        postMessage({ type: "failed", job: data.job, reason: error.message });
      }
    })
    .finally(() => data.bitmap?.close());
};

async function load(data) {
  rules = data.rules;
  // In the edition that is one file, a worker may only import what it has made itself.
  const { text, address } = data.ort;
  const made = text && URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  ort = await import(made ?? address);
  ort.env.wasm.numThreads = 1; // more need headers that a plain server does not send
  ort.env.wasm.wasmBinary = data.wasm;
  session = await ort.InferenceSession.create(data.model);
  postMessage({ type: "loaded" });
}

async function color({ job, bitmap }) {
  const { width, height } = bitmap;
  colored = undefined; // large photos take much memory
  await breathe(job);
  const small = shrinkPhoto(bitmap);
  const preview = new ImageData(small.width, small.height);
  paintGray(small.luminance, preview.data);
  postMessage({ type: "gray", job, width, height, preview });
  const { luminance, narrow, shape } = await readPhoto(job, bitmap);
  const [seenHeight, seenWidth] = shape;
  const L = resampleColumns(narrow, seenWidth, mixtures(height, seenHeight, CUBIC));
  for (let i = 0; i < L.length; i++) L[i] = Math.min(1, Math.max(0, L[i]));
  const { ab, described, logits, scale } = await predict(L, shape);
  const seen = { width: seenWidth, height: seenHeight, scale, ab };
  colored = { small, luminance, width, height, seen: { ...seen, described } };
  postMessage({ type: "seen", job, L, logits, ...seen });
  await paint(job, colored, ab);
}

/** Color the same photo with hints: first small and at once, then at its full size. */
async function colorAgain({ job, hints }) {
  await breathe(job);
  const { seen, small, luminance } = colored;
  const ab = hints.length ? applyHints(seen, hints, rules.hints) : seen.ab;
  if (luminance.length > small.luminance.length) {
    const preview = paintRows(small.luminance, enlargeColors(small, ab), 0, small.height);
    postMessage({ type: "preview", job, preview }, [preview.data.buffer]);
  }
  await paint(job, colored, ab);
}

/**
 * Call the network: L* / 100 to ab / 110, and what hints need. `described` and `logits` are
 * coarser than `ab` by `scale`.
 */
async function predict(L, [height, width]) {
  const result = await session.run({ L: new ort.Tensor("float32", L, [1, 1, height, width]) });
  const [ab, described, logits] = ["ab", "described", "logits"].map((name) => result[name].data);
  return { ab, described, logits, scale: width / result.described.dims[3] };
}

/** The whole photo's luminance, and its lightness already at the width that the network sees. */
async function readPhoto(job, bitmap) {
  const { width, height } = bitmap;
  const shape = modelShape(height, width, rules);
  const columns = mixtures(width, shape[1], CUBIC);
  const luminance = new Uint16Array(width * height);
  const narrow = new Float32Array(height * shape[1]);
  const lightness = new Float32Array(width);
  for (const [top, rows] of strips(width, height)) {
    const pixels = draw(bitmap, width, rows, (context) => context.drawImage(bitmap, 0, -top));
    readLuminance(pixels.data, luminance.subarray(top * width, (top + rows) * width));
    for (let row = top; row < top + rows; row++) {
      readLightness(luminance.subarray(row * width, (row + 1) * width), lightness);
      resampleRow(lightness, 0, narrow, row * shape[1], columns);
    }
    await breathe(job);
  }
  return { luminance, narrow, shape };
}

async function paint(job, photo, ab) {
  const { luminance, width, height } = photo;
  const chroma = enlargeColors(photo, ab);
  for (const [top, rows] of strips(width, height)) {
    const strip = paintRows(luminance, chroma, top, rows);
    postMessage({ type: "strip", job, top, strip }, [strip.data.buffer]);
    await breathe(job);
  }
  postMessage({ type: "done", job });
}

/** Prepare the network's colors for a picture of this size. */
function enlargeColors({ width, height }, ab) {
  return prepareChroma(ab, colored.seen.height, colored.seen.width, height, width);
}

function paintRows(luminance, chroma, top, rows) {
  const width = chroma.fullWidth;
  const [a, b] = [new Float32Array(rows * width), new Float32Array(rows * width)];
  for (let row = 0; row < rows; row++) chromaRow(chroma, top + row, a, b, row * width);
  const strip = new ImageData(width, rows);
  paintColors(luminance.subarray(top * width, (top + rows) * width), a, b, strip.data);
  return strip;
}

/** The photo's luminance, no larger than a screen needs. */
function shrinkPhoto(bitmap) {
  const scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side * scale));
  const pixels = draw(bitmap, width, height, (context) => {
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
  });
  const luminance = new Uint16Array(width * height);
  readLuminance(pixels.data, luminance);
  return { luminance, width, height };
}

/** Draw on white, as transparent pixels may hide any color, and read the pixels. */
function draw(bitmap, width, height, drawing) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  drawing(context);
  return context.getImageData(0, 0, width, height);
}

function* strips(width, height) {
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  for (let top = 0; top < height; top += rows) yield [top, Math.min(rows, height - top)];
}

// Timers wait 4 ms and more; a message does not.
const { port1, port2 } = new MessageChannel();

/** Let newer messages in; end this job if there is a newer one. */
async function breathe(job) {
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  if (job !== latest) throw new Outdated();
}
