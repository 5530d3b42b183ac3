// Sliders over frames that were drawn beforehand (tools/sliders.py writes their HTML), and boxes
// that the arrow keys can scroll.

function setUpFilm(box) {
  const { folder, alt, frames } = JSON.parse(box.dataset.film);
  const inputs = [...box.querySelectorAll("input, select")];
  const frame = box.querySelector(".frame");
  const shownIn = (input) => (input.dataset.shown ? JSON.parse(input.dataset.shown)
    : [...input.options].map((option) => option.text));
  const placeOf = (input) => (input.dataset.shown ? Number(input.value) : input.selectedIndex);
  const labelOf = (input) => input.labels[0].firstChild.textContent.trim();

  function show() {
    let index = 0;
    const words = [];
    for (const input of inputs) {
      const shown = shownIn(input);
      const place = placeOf(input);
      index = index * shown.length + place;
      words.push(`${labelOf(input)}: ${shown[place]}`);
      if (input.dataset.shown) {
        input.setAttribute("aria-valuetext", shown[place]);
        input.labels[0].querySelector("output").textContent = shown[place];
      }
    }
    const name = frames[index];
    if (name.endsWith(".webp")) {
      const picture = frame.querySelector("img");
      picture.src = `${folder}/${name}`;
      picture.alt = `${alt} (${words.join(", ")})`;
    } else {
      frame.innerHTML = name;
    }
  }

  for (const input of inputs) input.addEventListener("input", show);
  const film = inputs.filter((input) => input.dataset.shown).pop();
  const playButton = box.querySelector(".frames-play");
  if (film && playButton) setUpButtons(box, film, playButton, show);
  const preload = () => frames.filter((name) => name.endsWith(".webp")).forEach((name) => {
    new Image().src = `${folder}/${name}`;
  });
  box.addEventListener("pointerenter", preload, { once: true });
  box.addEventListener("focusin", preload, { once: true });
}

function setUpButtons(box, film, playButton, show) {
  let timer = null;
  const move = () => {
    film.value = Number(film.value) < Number(film.max) ? Number(film.value) + 1 : 0;
    show();
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    playButton.textContent = "Play";
  };
  playButton.addEventListener("click", () => {
    if (timer) return stop();
    if (film.value === film.max) { film.value = 0; show(); }
    playButton.textContent = "Pause";
    timer = setInterval(() => {
      move();
      if (film.value === film.max) stop();
    }, Math.max(200, Number(box.dataset.milliseconds)));
  });
  box.querySelector(".frames-step").addEventListener("click", () => { stop(); move(); });
  film.addEventListener("input", stop);
}

for (const box of document.querySelectorAll(".frames")) {
  if (box.dataset.film) setUpFilm(box);
  else {
    const line = box.querySelector("input");
    line.addEventListener("input", () => box.style.setProperty("--at", `${line.value}%`));
  }
  for (const part of box.querySelectorAll(":scope > [hidden]")) part.hidden = false;
}

// Browsers run no modules from a folder; the edition in one file works there, too.
if (location.protocol === "file:") {
  for (const link of document.querySelectorAll('a[href$="color.html"]')) {
    link.href = link.href.replace(/color\.html$/, "color-offline.html");
  }
}

// Without a mouse, a wide box can be scrolled once it can have the focus.
const focusable = () => document.querySelectorAll(
  "pre, .table-wrapper, div.math, .text_html").forEach((box) => {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
});
for (const event of ["load", "resize", "toggle"]) addEventListener(event, focusable, true);
