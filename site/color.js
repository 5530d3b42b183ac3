// The page that colors photos. It shows, asks and saves; color-worker.js does the work.
//
// In the edition that is one file, each file that the page needs stands in an element with the
// file's name as its id; served from a folder, it is fetched.

import { makeBoard } from "./color-board.js";
import { addNote } from "./color-files.js";
import { AB_SCALE, paintColors, toLuminance } from "./color-math.js";

const MOST_MEGAPIXELS = 25; // a phone's 24-megapixel photo has 24.5
const NOTE = "The colors of this picture are invented: a neural network (colorlib) guessed them.";
const NOTE_ON_HINTS = " A person picked some of them.";
const FILES = ["network.gz", "ort-wasm-simd-threaded.wasm.gz"];
const RUNTIME = "ort.wasm.bundle.min.mjs";

const find = (id) => document.getElementById(id);
const picture = find("picture");
const line = find("line");
const worker = new Worker(address("color-worker.js"), {
  type: embedded("color-worker.js") ? "classic" : "module", // no modules in workers of a file
});
const shown = { name: "", job: 0, replaced: "", hints: 0 }; // what the picture is of
let rules; // of model.json
let seen; // what the network made of the photo
let unfinished = ""; // the photo that is being opened or colored
let wanted; // a photo to color once everything is loaded
let isLoaded = false;
let broken = ""; // why the page can't work
let taken = 0; // photos so far
let flowing = 0; // the job whose colors flow in

// --- what the page needs ---

function embedded(name) {
  return find(name)?.textContent;
}

/** The address of a module: a file beside the page, or its text made into one. */
function address(name) {
  const text = embedded(name);
  const code = text && new Blob([text], { type: "text/javascript" });
  return code ? URL.createObjectURL(code) : new URL(name, document.baseURI).href;
}

async function load() {
  say("Loading the network …");
  rules = JSON.parse(embedded("model.json") ?? (await (await fetchFile("model.json")).text()));
  const total = FILES.reduce((sum, name) => sum + rules.bytes[name], 0);
  let received = 0;
  const progress = (bytes) => {
    received += bytes;
    find("progress").value = received / total;
  };
  const [network, wasm] = await Promise.all(FILES.map((name) => readBytes(name, progress)));
  const model = interleave(network);
  const ort = { text: embedded(RUNTIME), address: new URL(RUNTIME, document.baseURI).href };
  worker.postMessage({ type: "load", rules, model, wasm, ort }, [model.buffer, wasm.buffer]);
}

async function fetchFile(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing on the server (${response.status})`);
  return response;
}

async function readBytes(name, progress) {
  const text = embedded(name);
  if (text) return unpack([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
  const parts = [];
  const reader = (await fetchFile(name)).body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    progress(part.value.length);
  }
  return unpack(parts);
}

/** Unpack a gzipped file, unless the server has had the browser do it already. */
async function unpack(parts) {
  const file = new Blob(parts);
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const isPacked = first === 0x1f && second === 0x8b;
  const stream = isPacked ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file;
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Put a file back together that was packed as its even bytes and then its odd ones. */
function interleave(halves) {
  const file = new Uint8Array(halves.length);
  const middle = Math.ceil(file.length / 2);
  for (let i = 0; i < file.length; i++) file[i] = halves[(i >> 1) + (i & 1) * middle];
  return file;
}

/** Say why the page can't work, instead of showing that it loads. */
function stop(reason) {
  broken = reason;
  find("loading").hidden = true;
  say("");
  complain(reason);
}

// --- photos ---

/** Color a file or an image of the page. A newer one replaces one that isn't done. */
async function take(source, name) {
  if (broken) return complain(broken);
  const number = ++taken;
  const replaced = unfinished && ` instead of ${unfinished}`;
  unfinished = name;
  complain("");
  try {
    const bitmap = await decode(source, name);
    if (number !== taken) return bitmap.close();
    wanted?.bitmap.close();
    wanted = { name, replaced, bitmap };
    if (isLoaded) begin();
  } catch (error) {
    if (number === taken) giveUp(error.message);
  }
}

function giveUp(reason) {
  const isBusy = picture.classList.contains("busy"); // with the photo before this one
  unfinished = isBusy ? shown.name : "";
  complain(reason);
  if (isLoaded && !isBusy) say("The page is ready");
}

async function decode(source, name) {
  if (source instanceof Blob && source.type && !source.type.startsWith("image/")) {
    throw new Error(`${name} is not a picture. Choose a photo: JPEG, PNG or WebP.`);
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(source, { imageOrientation: "from-image" });
  } catch {
    throw new Error(
      `${name} can’t be opened: it is damaged or in a format that this browser can’t read ` +
        "(often HEIC or TIFF). Save it as JPEG or PNG and try again.",
    );
  }
  const megapixels = (bitmap.width * bitmap.height) / 1e6;
  if (megapixels <= MOST_MEGAPIXELS) return bitmap;
  bitmap.close();
  throw new Error(
    `${name} has ${megapixels.toFixed(1)} megapixels, and this page takes up to ` +
      `${MOST_MEGAPIXELS}. Make it smaller, or color it with the command colorlib colorize.`,
  );
}

function begin() {
  const { name, replaced, bitmap } = wanted;
  const job = shown.job + 1;
  wanted = undefined;
  Object.assign(shown, { name, replaced, job, hints: 0 });
  board.close();
  allowSaving(false); // what is shown is still the last photo
  say(`Coloring ${name}${replaced} …`);
  worker.postMessage({ type: "color", job, bitmap }, [bitmap]);
}

/** Color the same photo again, with the hints that there are now. */
function recolor(hints) {
  shown.job++;
  shown.hints = hints.length;
  allowSaving(false);
  complain("");
  say("Spreading your colors …");
  worker.postMessage({ type: "hints", job: shown.job, hints });
}

const answers = {
  loaded() {
    isLoaded = true;
    document.body.classList.add("loaded");
    if (wanted) begin();
    else if (!unfinished) takeSample(samples[0]); // it warms the network up, too
  },
  gray({ width, height, preview }) {
    resize(find("gray"), preview.width, preview.height).putImageData(preview, 0, 0);
    const context = resize(find("result"), width, height);
    if (!canDraw(context)) {
      shown.job++; // ignore the rest of this job
      context.canvas.replaceWith(context.canvas.cloneNode()); // this one stays broken
      picture.classList.remove("busy");
      return giveUp(
        `This browser can’t show ${width} × ${height} pixels. Make the photo smaller, or color ` +
          "it with the command colorlib colorize.",
      );
    }
    picture.style.setProperty("--ratio", width / height);
    picture.style.setProperty("--done", "0%");
    picture.classList.add("busy");
    allowSaving(false);
    flowing = 0;
    moveLine(100);
  },
  seen(answer) {
    seen = answer;
    const { L, ab, width, height } = answer;
    drawSmall(find("seen-gray"), width, height, L, new Float32Array(ab.length));
    drawSmall(find("seen-colors"), width, height, new Float32Array(L.length).fill(0.65), ab);
  },
  preview({ preview }) {
    const small = new OffscreenCanvas(preview.width, preview.height);
    small.getContext("2d").putImageData(preview, 0, 0);
    const { width, height } = find("result");
    find("result").getContext("2d").drawImage(small, 0, 0, width, height);
  },
  strip({ top, strip }) {
    const result = find("result");
    result.getContext("2d").putImageData(strip, 0, top);
    picture.style.setProperty("--done", `${(100 * (top + strip.height)) / result.height}%`);
  },
  done() {
    const { width, height } = find("result");
    drawJoined();
    unfinished = "";
    picture.classList.remove("busy");
    find("result").setAttribute("aria-label", `${shown.name}, with invented colors`);
    allowSaving(true);
    if (!board.isOpen()) {
      board.open(seen, rules.hints);
      letColorFlow();
    }
    const own = ["", " with your color"][shown.hints] ?? ` with ${shown.hints} of your colors`;
    say(`Colored ${shown.name}${shown.replaced}${own}, ${width} × ${height} pixels: ready`);
  },
  failed({ reason }) {
    if (!isLoaded) return stop(`The network couldn’t start here (${reason}). Try another browser.`);
    picture.classList.remove("busy");
    giveUp(`That didn’t work: ${reason}. Reload the page, or try a smaller photo.`);
  },
};

worker.onmessage = ({ data }) => {
  if (data.job === undefined || data.job === shown.job) answers[data.type](data);
};
worker.onerror = (event) => stop(`The page can’t run here (${event.message}). Try another browser.`);

// --- what is shown ---

function say(text) {
  find("status").textContent = text;
}

function complain(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
  if (text) find("problem").scrollIntoView({ block: "nearest" });
}

function resize(canvas, width, height) {
  Object.assign(canvas, { width, height });
  return canvas.getContext("2d");
}

/** Whether a canvas holds what is drawn: one that is too large for the browser stays empty. */
function canDraw(context) {
  const probe = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillRect(0, 0, 1, 1);
  try {
    probe.drawImage(context.canvas, 0, 0, 1, 1, 0, 0, 1, 1);
  } catch {
    return false;
  }
  return probe.getImageData(0, 0, 1, 1).data[3] === 255;
}

/** Draw a picture of the network's size: L* / 100 and its scaled ab. */
function drawSmall(canvas, width, height, L, ab) {
  const pixels = new ImageData(width, height);
  const chroma = ab.map((value) => value * AB_SCALE);
  paintColors(toLuminance(L), chroma.subarray(0, L.length), chroma.subarray(L.length), pixels.data);
  resize(canvas, width, height).putImageData(pixels, 0, 0);
}

/** The result again, small. */
function drawJoined() {
  const { width, height } = find("result");
  const scale = 400 / Math.max(width, height);
  const context = resize(find("joined"), Math.ceil(width * scale), Math.ceil(height * scale));
  context.drawImage(find("result"), 0, 0, width * scale, height * scale);
}

function allowSaving(isAllowed) {
  for (const button of document.querySelectorAll("[data-save]")) button.disabled = !isAllowed;
}

function moveLine(position) {
  line.value = position;
  picture.style.setProperty("--line", `${line.value}%`);
  picture.querySelector(".before").hidden = line.value < 5; // nothing is gray
  picture.querySelector(".after").hidden = line.value > 95;
  line.setAttribute("aria-valuetext", `${line.value}% gray, ${100 - line.value}% colored`);
}

/** Let the color flow in from the right up to the middle, unless the visitor takes the line. */
function letColorFlow() {
  const start = performance.now();
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const job = shown.job;
  flowing = job;
  const step = (now) => {
    if (flowing !== job) return;
    const part = isCalm ? 1 : Math.min(1, Math.max(0, now - start) / 900);
    moveLine(100 - 50 * (1 - (1 - part) ** 3));
    if (part < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

async function save(type, ending) {
  const canvas = find("result");
  const name = shown.name.replace(/\.\w+$/, ""); // another photo may be chosen meanwhile
  const note = NOTE + (shown.hints ? NOTE_ON_HINTS : "");
  const file = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.93));
  if (!file) return complain("This browser can’t save a picture of this size. Try a smaller photo.");
  const noted = addNote(new Uint8Array(await file.arrayBuffer()), note);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([noted], { type }));
  link.download = `${name}_colored.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- what visitors do ---

/** Show the place that was clicked in color, even if it was on the gray side. */
function uncover(x) {
  flowing = 0;
  if (100 * x < line.value) moveLine(0);
}

const board = makeBoard(find, uncover, recolor);

const samples = [...document.querySelectorAll("#samples button")];

/** Color a sample from the picture on its button, which needs no connection. */
async function takeSample(button) {
  const image = button.querySelector("img");
  try {
    await image.decode();
  } catch {
    return giveUp("This sample can’t be loaded. Choose another one, or a photo of your own.");
  }
  take(image, `${button.dataset.name}.jpg`);
}

/** Show the first sample while the network loads; the style makes it gray. */
async function showSample() {
  const image = samples[0].querySelector("img");
  if (!(await image.decode().then(() => true, () => false)) || shown.job) return;
  const { naturalWidth: width, naturalHeight: height } = image;
  picture.style.setProperty("--ratio", width / height);
  resize(find("gray"), width, height).drawImage(image, 0, 0);
}

function takeFirst(files) {
  const file = files[0];
  if (file) take(file, file.name);
}

samples.forEach((button) => button.addEventListener("click", () => takeSample(button)));
document.querySelectorAll("[data-save]").forEach((button) =>
  button.addEventListener("click", () => save(`image/${button.dataset.save}`, button.value)),
);
line.addEventListener("input", () => {
  flowing = 0;
  moveLine(line.value);
});
find("photo").addEventListener("change", ({ target }) => {
  takeFirst(target.files);
  target.value = ""; // so that choosing the same file again is a change
});
addEventListener("paste", ({ clipboardData }) => takeFirst(clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  takeFirst(event.dataTransfer.files);
});

showSample();
load().catch((error) => stop(`The network could not be loaded: ${error.message}`));
