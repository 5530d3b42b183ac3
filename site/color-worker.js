// The worker of the page: it colors photos, so that the page answers meanwhile.
//
// In:  {type: "load", model, wasm, rules, ort} once, then {type: "color", job, bitmap}.
// Out: "loaded"; for each job "gray", "seen", "strip"s and "done", or "failed".
// A newer job ends an older one.

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
const PREVIEW = 2048; // longer side of the gray picture, which is shown but never saved

let ort, session, rules;
let latest = 0;
let queue = Promise.resolve();

class Outdated extends Error {}

onmessage = ({ data }) => {
  if (data.type === "color") latest = data.job;
  const work = data.type === "load" ? load : color;
  queue = queue
    .then(() => work(data))
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
  await breathe(job);
  postMessage({ type: "gray", job, width, height, preview: grayPreview(bitmap) });
  const { luminance, narrow, shape } = await readPhoto(job, bitmap);
  const [seenHeight, seenWidth] = shape;
  const L = resampleColumns(narrow, seenWidth, mixtures(height, seenHeight, CUBIC));
  for (let i = 0; i < L.length; i++) L[i] = Math.min(1, Math.max(0, L[i]));
  const ab = await predict(L, shape);
  postMessage({ type: "seen", job, L, ab, width: seenWidth, height: seenHeight });
  await paint(job, luminance, prepareChroma(ab, seenHeight, seenWidth, height, width));
  postMessage({ type: "done", job });
}

/** Call the network: L* / 100 to ab / 110. Hints from the visitor would be further inputs. */
async function predict(L, [height, width]) {
  const result = await session.run({ L: new ort.Tensor("float32", L, [1, 1, height, width]) });
  return result.ab.data;
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

async function paint(job, luminance, chroma) {
  const { fullWidth: width, fullHeight: height } = chroma;
  for (const [top, rows] of strips(width, height)) {
    const [a, b] = [new Float32Array(rows * width), new Float32Array(rows * width)];
    for (let row = 0; row < rows; row++) chromaRow(chroma, top + row, a, b, row * width);
    const strip = new ImageData(width, rows);
    paintColors(luminance.subarray(top * width, (top + rows) * width), a, b, strip.data);
    postMessage({ type: "strip", job, top, strip }, [strip.data.buffer]);
    await breathe(job);
  }
}

function grayPreview(bitmap) {
  const scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.ceil(side * scale));
  const preview = draw(bitmap, width, height, (context) => {
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
  });
  const luminance = new Uint16Array(width * height);
  readLuminance(preview.data, luminance);
  paintGray(luminance, preview.data);
  return preview;
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
