// What a visitor does to tell the network a color: pick a place on the photo, then a color for it.

import { likelyColors } from "./color-hints.js";
import { AB_SCALE, paintColors, toLuminance, withinGamut } from "./color-math.js";

const WHEEL = 160; // side in pixels
const RIM = 1.25; // more chroma than any screen shows, as scaled ab
const STEP = 0.02; // of an arrow key, in sides of the picture; with Shift a quarter of it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HUES = [ // up to which angle of a* and b* a hue has this name
  [20, "pink"], [55, "red"], [85, "orange"], [115, "yellow"], [170, "green"], [225, "teal"],
  [300, "blue"], [335, "purple"], [360, "pink"],
];

/**
 * Set up the controls for hints.
 *
 * @param find gets an element of the page by its id.
 * @param onPlace is called with x (0 to 1) when the visitor picks a place.
 * @param onChange is called with all hints, [{x, y, ab, color}], when they change.
 */
export function makeBoard(find, onPlace, onChange) {
  let seen, rules; // what the network made of the photo; undefined: no photo to click on
  let hints = [];
  let place; // {x, y, L}, for which the visitor chooses a color

  makePad(find("place"), (x, y, byKeyboard) => {
    const [row, column] = [Math.floor(y * seen.height), Math.floor(x * seen.width)];
    place = { x, y, L: seen.L[row * seen.width + column] };
    offerColors();
    onPlace(x);
    if (byKeyboard) (find("likely").querySelector("button") ?? find("wheel")).focus();
  });
  makePad(find("wheel"), (x, y) => choose(onWheel(place.L, 2 * x - 1, 1 - 2 * y)));
  find("undo").addEventListener("click", () => change(hints.slice(0, -1)));
  find("clear").addEventListener("click", () => change([]));

  function choose(ab) {
    const { x, y, L } = place;
    const others = hints.filter((hint) => hint.x !== x || hint.y !== y);
    change([...others, { x, y, ab, color: cssColor(L, ab) }]);
  }

  function change(changed) {
    hints = changed;
    show();
    onChange(hints);
  }

  function offerColors() {
    const { x, y, L } = place;
    const buttons = likelyColors(seen, x, y, rules).map(({ ab, share }) => {
      const shown = withinGamut(L, ab);
      const button = document.createElement("button");
      const percent = `${Math.round(100 * share)}%`;
      button.type = "button";
      button.textContent = percent;
      button.setAttribute("aria-label", `${hueOf(shown)}, ${percent} likely`);
      button.style.setProperty("--color", cssColor(L, shown));
      button.addEventListener("click", () => choose(shown));
      return button;
    });
    find("likely").replaceChildren(...buttons);
    paintWheel(find("wheel").querySelector("canvas"), L);
    show();
  }

  function show() {
    const marks = hints.map(({ x, y, color }) => {
      const mark = document.createElement("span");
      Object.assign(mark.style, { left: `${100 * x}%`, top: `${100 * y}%`, background: color });
      return mark;
    });
    find("marks").replaceChildren(...marks);
    find("place").disabled = !seen;
    find("place").classList.toggle("picked", Boolean(place));
    find("hints").hidden = !seen;
    find("choosing").hidden = !place;
    const hadFocus = find("undoing").contains(document.activeElement);
    find("undoing").hidden = !hints.length;
    if (hadFocus && !hints.length) find("place").focus();
  }

  return {
    /** Take hints for a photo that was just colored. */
    open(photo, rulesOfHints) {
      [seen, rules] = [photo, rulesOfHints];
      show();
    },
    /** Forget the hints, because another photo comes. */
    close() {
      seen = place = undefined;
      hints = [];
      show();
    },
    isOpen: () => Boolean(seen),
  };
}

/** Let a button be hit at a place: by a click, or by its crosshair, arrow keys and Enter. */
function makePad(button, onHit) {
  const crosshair = button.querySelector(".crosshair");
  const within = (value) => Math.min(0.9999, Math.max(0, value));
  let [x, y] = [0.5, 0.5];
  const move = (toX, toY) => {
    [x, y] = [within(toX), within(toY)];
    Object.assign(crosshair.style, { left: `${100 * x}%`, top: `${100 * y}%` });
  };
  button.addEventListener("click", (event) => {
    const byKeyboard = event.detail === 0; // else it counts clicks
    if (!byKeyboard) {
      const box = button.getBoundingClientRect();
      move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }
    onHit(x, y, byKeyboard);
  });
  button.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault(); // the page would scroll
    const step = event.shiftKey ? STEP / 4 : STEP;
    move(x + step * arrow[0], y + step * arrow[1]);
  });
}

// --- colors ---

/** The color of a wheel at this lightness: gray in the middle, at the rim the strongest there is. */
function onWheel(L, x, y) {
  const angle = Math.atan2(y, x);
  const strongest = withinGamut(L, [RIM * Math.cos(angle), RIM * Math.sin(angle)]);
  return strongest.map((value) => value * Math.min(1, Math.hypot(x, y)));
}

function paintWheel(canvas, L) {
  const pixels = new ImageData(WHEEL, WHEEL);
  const [a, b] = [new Float32Array(WHEEL ** 2), new Float32Array(WHEEL ** 2)];
  const center = (WHEEL - 1) / 2;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(i % WHEEL) - center, center - Math.floor(i / WHEEL)];
    const ab = onWheel(L, x / center, y / center);
    [a[i], b[i]] = [AB_SCALE * ab[0], AB_SCALE * ab[1]];
  }
  paintColors(new Uint16Array(a.length).fill(toLuminance([L])[0]), a, b, pixels.data);
  Object.assign(canvas, { width: WHEEL, height: WHEEL });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function cssColor(L, [a, b]) {
  const pixel = new Uint8ClampedArray(4);
  paintColors(toLuminance([L]), [AB_SCALE * a], [AB_SCALE * b], pixel);
  return `rgb(${pixel.slice(0, 3).join(" ")})`;
}

function hueOf([a, b]) {
  if (Math.hypot(a, b) < 0.06) return "nearly gray";
  const angle = ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360;
  return HUES.find(([end]) => angle <= end)[1];
}
