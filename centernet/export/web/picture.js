"use strict";
// The picture: image, heatmap and boxes on one canvas; zoom and pan.

const canvas = $("canvas");
const heatmap = new OffscreenCanvas(1, 1); // colors of the selected classes, one pixel per cell
// Image pixel (px, py) is drawn at (x + scale * px, y + scale * py), in CSS pixels.
const view = { scale: 1, x: 0, y: 0, fitted: 1 };

// ---- heatmap

// Paint the highest value of the selected classes at each cell; low values are transparent.
function colorHeat() {
  const { heat } = state.picture;
  if (!heat) return;
  const [channels, height, width] = heat.shape;
  const cells = width * height, values = new Float32Array(cells);
  for (let label = 0; label < channels; label++) {
    if (!state.classes.has(label)) continue;
    const plane = heat.data.subarray(label * cells, (label + 1) * cells);
    for (let i = 0; i < cells; i++) if (plane[i] > values[i]) values[i] = plane[i];
  }
  Object.assign(heatmap, { width, height });
  const context = heatmap.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < cells; i++) {
    const [red, green, blue] = settings.heat_colors[Math.round(255 * clamp(values[i], 0, 1))];
    pixels.data.set([red, green, blue, 255 * clamp(1.6 * Math.sqrt(values[i]) - 0.15, 0, 1)], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
}

// ---- painting, on the page and for the downloaded picture

/* Paint the picture.
   at: {scale, x, y} from image pixels to pixels of the canvas.
   unit: width of a line, in pixels of the canvas. */
function paint(context, at, unit) {
  const { bitmap, width, height, found } = state.picture;
  const frame = [at.x, at.y, width * at.scale, height * at.scale];
  context.imageSmoothingQuality = "high";
  context.imageSmoothingEnabled = at.scale * width < 8 * bitmap.width; // pixels when zoomed in
  context.drawImage(bitmap, ...frame);
  if (state.heat && state.picture.heat) paintHeat(context, at, frame);
  if (state.boxes) paintFound(context, found, at, unit, frame);
  paintZones(context, at, unit);
}

function paintFound(context, found, at, unit, frame) {
  const boxes = found.map((one, index) => ({ ...one, index })).filter(isShown);
  boxes.forEach((one, i) => { one.row = i + 1; }); // its number in the table
  const { width: columns, height: rows } = context.canvas;
  const visible = [Math.max(frame[0], 0), Math.max(frame[1], 0),
    Math.min(frame[0] + frame[2], columns), Math.min(frame[1] + frame[3], rows)];
  paintBoxes(context, boxes, boxes.find(({ index }) => index === state.lit), at, unit, visible);
}

function paintHeat(context, at, frame) {
  const { shape: [, rows, columns], x, y } = state.picture.heat;
  const { stride } = settings;
  context.save();
  context.beginPath();
  context.rect(...frame);
  context.clip();
  context.globalAlpha = state.opacity;
  context.imageSmoothingEnabled = true;
  context.drawImage(heatmap,
    at.x - (at.scale * x.shift) / x.scale, at.y - (at.scale * y.shift) / y.scale,
    (at.scale * stride * columns) / x.scale, (at.scale * stride * rows) / y.scale);
  context.restore();
}

let drawing = false;

// Draw the picture before the next frame of the browser.
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!state.picture) return;
    const ratio = window.devicePixelRatio || 1;
    const size = { width: Math.round(canvas.clientWidth * ratio),
      height: Math.round(canvas.clientHeight * ratio) };
    Object.assign(canvas, size); // clears it
    const at = { scale: view.scale * ratio, x: view.x * ratio, y: view.y * ratio };
    paint(canvas.getContext("2d"), at, ratio);
    canvas.dataset.drawn = state.picture.name;
  });
}

// ---- zoom and pan

function fit() {
  if (!state.picture) return;
  const { width, height } = state.picture;
  view.fitted = Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
  view.scale = view.fitted;
  panBy(0, 0);
}

// Zoom around a point of the canvas.
function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = clamp(view.scale * factor, view.fitted, 40 * view.fitted);
  const ratio = scale / view.scale;
  Object.assign(view, { scale, x: x - ratio * (x - view.x), y: y - ratio * (y - view.y) });
  panBy(0, 0);
}

function panBy(x, y) {
  if (!state.picture) return;
  const { width, height } = state.picture;
  const inside = (at, length, room) =>
    length <= room ? (room - length) / 2 : clamp(at, room - length, 0);
  view.x = inside(view.x + x, width * view.scale, canvas.clientWidth);
  view.y = inside(view.y + y, height * view.scale, canvas.clientHeight);
  canvas.classList.toggle("zoomed", view.scale > 1.01 * view.fitted);
  draw();
}

// Index of the smallest box at a point of the canvas, or null.
function boxAt(x, y) {
  const [px, py] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
  const area = ({ box: [left, top, right, bottom] }) => (right - left) * (bottom - top);
  const hits = [...state.picture.found.entries()].filter(([, one]) => isShown(one) &&
    px >= one.box[0] && px <= one.box[2] && py >= one.box[1] && py <= one.box[3]);
  hits.sort((a, b) => area(a[1]) - area(b[1]));
  return hits[0]?.[0] ?? null;
}
