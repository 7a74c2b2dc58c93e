"use strict";
// The image with the heatmap, boxes and peaks drawn over it.

const tip = document.getElementById("tip");

const TOO_MUCH = [255, 150, 30], TOO_LITTLE = [70, 150, 255];
const MANY_MARKS = 200; // more marks are smaller, with thinner lines
const LETTER = 7, LINE = 18, MAX_COVERED = 0.15; // size of names in pixels; part of the image
let maps = null; // of the current image: {prediction, target} by label, and cells

// ---- heatmap

async function loadMaps(place) {
  const pictures = JSON.parse(document.getElementById(`pictures-${place}`).textContent);
  const loaded = { image: pictures.image, cells: pictures.cells };
  for (const layer of ["prediction", "target"]) {
    const planes = Object.entries(pictures[layer] ?? {});
    loaded[layer] = new Map(await Promise.all(
      planes.map(async ([label, uri]) => [Number(label), await levels(uri, pictures.cells)])));
  }
  return loaded;
}

const planesOf = (layer) =>
  [...(maps?.[layer] ?? [])].filter(([label]) => state.classes.has(label)).map(([, p]) => p);

// The highest value of the selected classes at each cell; for differences, the one farthest from 0.
function cellValues(layer) {
  const [width, height] = maps.cells;
  const values = new Float32Array(width * height);
  if (layer !== "difference") {
    for (const plane of planesOf(layer)) {
      for (let i = 0; i < plane.length; i++) values[i] = Math.max(values[i], plane[i] / 255);
    }
    return values;
  }
  const none = new Uint8Array(width * height);
  for (const label of state.classes) {
    const predicted = maps.prediction.get(label) ?? none, wanted = maps.target.get(label) ?? none;
    for (let i = 0; i < values.length; i++) {
      const difference = (predicted[i] - wanted[i]) / 255;
      if (Math.abs(difference) > Math.abs(values[i])) values[i] = difference;
    }
  }
  return values;
}

function colorOf(value, layer) {
  if (layer !== "difference") return about.heat_colors[Math.round(255 * value)];
  return (value < 0 ? TOO_LITTLE : TOO_MUCH).map((part) => part * Math.abs(value));
}

function drawHeat() {
  heat.hidden = state.layer === "image" || !maps;
  if (heat.hidden) return;
  paintHeat(maps.cells, cellValues(state.layer), (value) => colorOf(value, state.layer));
  heat.classList.toggle("sharp", state.sharp);
}

// ---- boxes and peaks

function drawMarks(image) {
  const { objects, boxes, faint } = judge(image);
  marks.replaceChildren();
  marks.classList.toggle("many", objects.length + boxes.length > MANY_MARKS);
  marks.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  const shown = [];
  const add = (thing, element) => {
    element.dataset.thing = shown.push(thing) - 1;
    return element;
  };
  if (state.truth) {
    for (const region of image.regions ?? []) rectangle(region.box, { class: "region" });
    for (const object of objects) add(object, rectangle(object.box, { class: object.kind }));
  }
  if (state.boxes) {
    for (const box of [...boxes].reverse()) {
      const color = about.classes[box.label].color;
      add(box, rectangle(box.box, { class: `box ${box.kind}`, style: `--color: ${color}` }));
    }
  }
  if (state.truth) {
    for (const object of objects) {
      if (object.kind === "missed") add(object, cross(...center(object.box)));
    }
  }
  if (state.peaks) {
    for (const peak of [...faint, ...boxes]) {
      const [cx, cy] = atPixel(image, peak.cell);
      const of = faint.includes(peak) ? "faint" : peak.kind;
      const color = about.classes[peak.label].color;
      add(peak, svg("circle", { cx, cy, class: `peak ${of}`, style: `--color: ${color}` }));
    }
  }
  marks.things = shown;
  marks.named = state.boxes ? boxes.filter((box) => box.kind === "false") : [];
  nameBoxes(image);
}

function cross(x, y) {
  const group = svg("g", { class: "cross", style: `--x: ${x}px; --y: ${y}px` });
  svg("path", { d: "M-6-6 6 6M-6 6 6-6" }, group);
  svg("circle", { r: 9 }, group);
  return group;
}

// Name false positives, the best first; a name that would cover others is left out.
function nameBoxes(image) {
  for (const text of marks.querySelectorAll("text")) text.remove();
  const placed = [];
  let room = MAX_COVERED * image.width * image.height * view.scale ** 2;
  for (const box of marks.named ?? []) {
    const x = Math.max(0, Math.min(box.box[0], box.box[2]));
    const y = Math.max(0, Math.min(box.box[1], box.box[3]));
    const textContent = `✕ ${className(box.label)} ${number(box.score)}`;
    const [left, top, width] = [x * view.scale, y * view.scale, LETTER * textContent.length];
    const covers = placed.some((other) => Math.abs(top - other.top) < LINE &&
      left < other.left + other.width && other.left < left + width);
    if (covers || (placed.length && width * LINE > room)) continue;
    room -= width * LINE;
    placed.push({ left, top, width });
    // Above the box, or inside the box at the top of the image.
    const inside = y < 0.04 * image.height;
    svg("text", { x, y, class: inside ? "inside" : "" }).textContent = textContent;
  }
}

function showTip(thing, clientX, clientY) {
  const [title, sentence] = describe(about.images[state.image], thing);
  tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: title }),
    Object.assign(document.createElement("span"), { textContent: sentence }));
  tip.hidden = false;
  const frame = stage.getBoundingClientRect();
  const x = Math.min(clientX - frame.left + 14, frame.width - tip.offsetWidth - 6);
  const below = clientY - frame.top + 16;
  const above = clientY - frame.top - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(6, x)}px`;
  tip.style.top = `${below + tip.offsetHeight > frame.height ? Math.max(6, above) : below}px`;
}

whenView.scales = nameBoxes; // there is more or less room for names

// Zoom to an object or box, and highlight it.
function highlight(image, thing) {
  const [left, top, right, bottom] = thing.box;
  const size = Math.max(right - left, bottom - top, Math.max(image.width, image.height) / 15);
  const close = Math.min(stage.clientWidth, stage.clientHeight) / (3 * size);
  zoomTo(Math.max(view.fitted, close), ...center(thing.box));
  const isSame = (other) => other.kind === thing.kind && other.index === thing.index;
  for (const element of marks.querySelectorAll("[data-thing]")) {
    element.classList.toggle("lit", isSame(marks.things[element.dataset.thing]));
  }
}
