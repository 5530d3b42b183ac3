// A picture to click on. Python does the work (board_widget.py); this file shows it and sends clicks.

function element(kind, parent, attributes = {}) {
  const made = Object.assign(document.createElement(kind), attributes);
  parent.append(made);
  return made;
}

// The place of a click within its element, from 0 to 1.
function place(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return {
    x: (event.clientX - box.left) / box.width,
    y: (event.clientY - box.top) / box.height,
  };
}

function render({ model, el }) {
  el.classList.add("hint-board");
  const frame = element("div", el, { className: "hint-frame" });
  const photo = element("img", frame, { className: "hint-photo", draggable: false });
  photo.alt = "the picture in the network's colors; click where you know a color";
  const marks = element("div", frame, { className: "hint-marks" });
  const side = element("div", el, { className: "hint-side" });
  const advice = element("p", side);
  const choices = element("div", side, { className: "hint-choices" });
  const wheel = element("img", side, { className: "hint-wheel", draggable: false });
  wheel.alt = "all colors of this lightness; click on one";
  const buttons = element("div", side);
  for (const [kind, text] of [["undo", "Undo"], ["clear", "Clear"]]) {
    const button = element("button", buttons, { textContent: text, className: `hint-${kind}` });
    button.onclick = () => model.send({ kind });
  }
  photo.onclick = (event) => model.send({ kind: "place", ...place(event) });
  wheel.onclick = (event) => model.send({ kind: "wheel", ...place(event) });

  function dot(parent, [x, y], color) {
    const made = element("span", parent, { className: "hint-dot" });
    Object.assign(made.style, { left: `${100 * x}%`, top: `${100 * y}%`, background: color });
  }
  const show = {
    picture: () => (photo.src = model.get("picture")),
    width: () => (frame.style.width = `${model.get("width")}px`),
    wheel: () => {
      wheel.src = model.get("wheel");
      wheel.hidden = !model.get("wheel");
    },
    marks: () => {
      marks.replaceChildren();
      for (const [x, y, color] of model.get("marks")) dot(marks, [x, y], color);
      if (model.get("at").length) dot(marks, model.get("at"), "transparent");
    },
    choices: () => {
      choices.replaceChildren();
      for (const [color, percent] of model.get("choices")) {
        const title = `${color}: ${percent}% likely`;
        const swatch = element("button", choices, { className: "hint-color", title });
        swatch.setAttribute("aria-label", title);
        swatch.style.background = color;
        swatch.onclick = () => model.send({ kind: "color", color });
      }
      advice.textContent = model.get("at").length
        ? "Likely here, or any color of this lightness:"
        : "Click on the picture where you know a color.";
    },
  };
  show.at = () => { show.marks(); show.choices(); };
  for (const [name, update] of Object.entries(show)) {
    update();
    model.on(`change:${name}`, update);
  }
}

export default { render };
