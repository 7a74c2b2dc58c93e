"use strict";
// The image with the heatmap, boxes and peaks drawn over it; zoom and pan.

const stage = document.getElementById("stage");
const world = document.getElementById("world");
const photo = document.getElementById("photo");
const heat = document.getElementById("heat");
const marks = document.getElementById("marks");
const tip = document.getElementById("tip");

const TOO_MUCH = [255, 150, 30], TOO_LITTLE = [70, 150, 255];
const MANY_MARKS = 200; // more marks are smaller, with thinner lines
const LETTER = 7, LINE = 18, MAX_COVERED = 0.15; // size of names in pixels; part of the image
const view = { scale: 1, x: 0, y: 0, fitted: 1, width: 0, height: 0 }; // size of the stage
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

// The gray levels of an image with one pixel per cell.
async function levels(uri, [width, height]) {
  const picture = new Image();
  picture.src = uri;
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]);
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
  [heat.width, heat.height] = maps.cells;
  const context = heat.getContext("2d");
  const pixels = context.createImageData(heat.width, heat.height);
  cellValues(state.layer).forEach((value, i) => {
    // Low values darken the image; high values cover it.
    const alpha = 0.35 + 0.65 * Math.sqrt(Math.abs(value));
    pixels.data.set([...colorOf(value, state.layer), 255 * alpha], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
  heat.classList.toggle("sharp", state.sharp);
}

function placeHeat(image) {
  const [scaleX, shiftX, scaleY, shiftY] = image.matrix;
  const [width, height] = maps.cells;
  const percent = (value, total) => `${(100 * value) / total}%`;
  heat.style.left = percent(shiftX, image.width);
  heat.style.top = percent(shiftY, image.height);
  heat.style.width = percent(scaleX * width, image.width);
  heat.style.height = percent(scaleY * height, image.height);
}

// ---- boxes and peaks

function svg(name, attributes, parent = marks) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function rectangle([left, top, right, bottom], attributes) {
  const [x, y] = [Math.min(left, right), Math.min(top, bottom)];
  const [width, height] = [Math.abs(right - left), Math.abs(bottom - top)];
  return svg("rect", { x, y, width, height, ...attributes });
}

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

// ---- zoom and pan: image pixel (px, py) is drawn at (x + scale * px, y + scale * py)

function measure(image) {
  [view.width, view.height] = [stage.clientWidth, stage.clientHeight];
  view.fitted = Math.min(view.width / image.width, view.height / image.height);
}

function fit(image) {
  measure(image);
  zoomTo(view.fitted, image.width / 2, image.height / 2);
}

const zoomed = () => view.scale > 1.01 * view.fitted;

// After the stage changed its size: when zoomed in, keep the scale and the center.
function refit(image) {
  if (!zoomed()) return fit(image);
  const middle = [view.width / 2 - view.x, view.height / 2 - view.y].map((at) => at / view.scale);
  measure(image);
  zoomTo(Math.max(view.scale, view.fitted), ...middle);
}

// Put an image pixel in the center of the stage.
function zoomTo(scale, px, py) {
  view.scale = scale;
  view.x = stage.clientWidth / 2 - scale * px;
  view.y = stage.clientHeight / 2 - scale * py;
  placeWorld();
}

// Zoom around a point of the stage.
function zoomBy(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.min(Math.max(view.scale * factor, view.fitted), 40 * view.fitted);
  const ratio = scale / view.scale;
  [view.scale, view.x, view.y] = [scale, x - ratio * (x - view.x), y - ratio * (y - view.y)];
  placeWorld();
}

function panBy(x, y) {
  view.x += x;
  view.y += y;
  placeWorld();
}

function placeWorld() {
  const image = about.images[state.image];
  const [width, height] = [image.width * view.scale, image.height * view.scale];
  const inside = (at, length, room) => length <= room
    ? (room - length) / 2 : Math.min(room / 2, Math.max(room / 2 - length, at));
  view.x = inside(view.x, width, stage.clientWidth);
  view.y = inside(view.y, height, stage.clientHeight);
  Object.assign(world.style,
    { left: `${view.x}px`, top: `${view.y}px`, width: `${width}px`, height: `${height}px` });
  if (marks.scale !== view.scale) nameBoxes(image); // there is more room for names
  marks.scale = view.scale;
  marks.style.setProperty("--scale", view.scale);
  // A finger scrolls the page, but moves the image when zoomed in.
  stage.classList.toggle("zoomed", zoomed());
}
