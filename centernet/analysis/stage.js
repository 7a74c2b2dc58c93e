"use strict";
// A stage that shows an image with a heatmap and marks, to zoom and pan. A page defines current(),
// the shown image {width, height, matrix}, and may be told when the view changes.

const stage = $("stage"), world = $("world"), photo = $("photo"), heat = $("heat");
const marks = $("marks");
const view = { scale: 1, x: 0, y: 0, fitted: 1, width: 0, height: 0 }; // size of the stage
const whenView = { scales() {}, moves() {} }; // called with the shown image

// ---- heatmap

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

// Paint values of at most 1 for each cell, in colors [red, green, blue].
function paintHeat([width, height], values, colorOf) {
  Object.assign(heat, { width, height });
  const context = heat.getContext("2d");
  const pixels = context.createImageData(width, height);
  values.forEach((value, i) => {
    // Low values darken the image; high values cover it.
    const alpha = 0.35 + 0.65 * Math.sqrt(Math.abs(value));
    pixels.data.set([...colorOf(value), 255 * alpha], 4 * i);
  });
  context.putImageData(pixels, 0, 0);
}

// Put the heatmap, with a matrix from its cells to pixels, over the image.
function placeHeat(image, [width, height]) {
  const [scaleX, shiftX, scaleY, shiftY] = image.matrix;
  const percent = (value, total) => `${(100 * value) / total}%`;
  heat.style.left = percent(shiftX, image.width);
  heat.style.top = percent(shiftY, image.height);
  heat.style.width = percent(scaleX * width, image.width);
  heat.style.height = percent(scaleY * height, image.height);
}

// ---- marks

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
  const image = current();
  const [width, height] = [image.width * view.scale, image.height * view.scale];
  const inside = (at, length, room) => length <= room
    ? (room - length) / 2 : Math.min(room / 2, Math.max(room / 2 - length, at));
  view.x = inside(view.x, width, stage.clientWidth);
  view.y = inside(view.y, height, stage.clientHeight);
  Object.assign(world.style,
    { left: `${view.x}px`, top: `${view.y}px`, width: `${width}px`, height: `${height}px` });
  const isScaled = marks.scale !== view.scale;
  marks.scale = view.scale;
  marks.style.setProperty("--scale", view.scale);
  if (isScaled) whenView.scales(image);
  whenView.moves(image);
  // A finger scrolls the page, but moves the image when zoomed in.
  stage.classList.toggle("zoomed", zoomed());
}

// The image pixel under a pointer.
function pixelAt(event) {
  const frame = stage.getBoundingClientRect();
  return [(event.clientX - frame.left - view.x) / view.scale,
    (event.clientY - frame.top - view.y) / view.scale];
}

// Zoom by the wheel and the buttons.
function listenToZoom() {
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = stage.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 400), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  $("zoom").addEventListener("click", ({ target }) => {
    const factor = Number(target.dataset.zoom);
    if (factor) zoomBy(factor);
    else fit(current());
  });
  new ResizeObserver(() => refit(current())).observe(stage);
}
