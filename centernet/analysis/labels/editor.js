"use strict";
// Draw, select, move and resize boxes by pointer and keyboard.

const editor = { isDrawing: false, label: null }; // label of the next box that is drawn
const pointers = new Map();
let gesture = null; // of one pointer: {kind, from, x, y, isMoved, key, box, h, v}
const MIN_MOVE = 4, MIN_BOX = 2; // screen pixels, image pixels
const REACH = { mouse: 9, pen: 14, touch: 20 }; // screen pixels around a handle

const fixed = (value) => Math.round(10 * value) / 10;

function inImage(box) {
  const { width, height } = current();
  const limit = (value, most) => fixed(Math.min(most, Math.max(0, value)));
  return box.map((value, i) => limit(value, i % 2 ? height : width));
}

// ---- edits

// After an edit of boxes: keep, count and draw it.
function edited() {
  store();
  refresh();
}

function select(key) {
  shown.selected = key;
  refreshTools();
  drawMarks();
  const box = selectedBox();
  if (box) announce(`${className(box.label)}, ${box.role} box, ${size(box.box)}`);
}

const size = ([x1, y1, x2, y2]) => `${Math.round(x2 - x1)} by ${Math.round(y2 - y1)} pixels`;

function selectNext() {
  const all = selectable();
  const at = all.findIndex(({ key }) => key === shown.selected);
  if (all.length) select(all[(at + 1) % all.length].key);
}

function deleteSelected() {
  const box = selectedBox();
  if (!box) return;
  shown.selected = null;
  edit(box.key, removalOf(box.key));
  edited();
  announce(`${className(box.label)} deleted`);
}

// Change the class of the selected box, of the only proposed box, or of the next box.
function setClass(label) {
  if (!classes[label]) return;
  const proposed = boxes().filter(({ role }) => role === "proposed");
  const box = selectedBox() ?? (!editor.isDrawing && proposed.length === 1 ? proposed[0] : null);
  if (!box) {
    editor.label = label;
    refreshTools();
    return;
  }
  if (box.label !== label) edit(box.key, { label, box: box.box });
  edited();
  announce(className(label));
}

function setBox(key, box) {
  const { label, box: before } = selectable().find((other) => other.key === key);
  if (!isSame(before, box)) edit(key, { label, box });
  edited();
}

function nudge([x, y], isResize) {
  const { key, box } = selectedBox();
  const [x1, y1, x2, y2] = box;
  const moved = inImage(isResize ? [x1, y1, x2 + x, y2 + y] : [x1 + x, y1 + y, x2 + x, y2 + y]);
  const least = isResize ? MIN_BOX : 0.9 * Math.min(x2 - x1, y2 - y1); // stays inside of the image
  if (Math.min(moved[2] - moved[0], moved[3] - moved[1]) >= least) setBox(key, moved);
}

function draw(box) {
  editor.isDrawing = false;
  const label = editor.label ?? labelOf(suspicions[state.at]);
  shown.selected = addBox({ label, box });
  edited();
  announce(`${className(label)}, ${size(box)}, added`);
}

function setDrawing(on) {
  editor.isDrawing = on;
  shown.selected = null;
  refreshTools();
  drawMarks();
  if (on) announce("Drag over the object to draw a box");
}

// ---- gestures

function handleAt(event) {
  const selected = selectedBox();
  if (!selected) return null;
  const [px, py] = pixelAt(event), reach = REACH[event.pointerType] ?? REACH.mouse;
  const near = handles(selected.box)
    .map((handle) => ({ ...handle, far: Math.hypot(handle.x - px, handle.y - py) * view.scale }))
    .sort((a, b) => a.far - b.far)[0];
  return near.far <= reach ? near : null;
}

const contains = ([x1, y1, x2, y2], [px, py], margin = 0) =>
  px >= x1 - margin && px <= x2 + margin && py >= y1 - margin && py <= y2 + margin;

function begin(event) {
  const from = pixelAt(event), selected = selectedBox(), handle = handleAt(event);
  const start = { from, x: event.clientX, y: event.clientY, isMoved: false };
  if (editor.isDrawing) return { kind: "draw", ...start };
  if (handle) return { kind: "resize", ...start, ...handle, key: selected.key, box: selected.box };
  if (selected && contains(selected.box, from)) {
    return { kind: "move", ...start, key: selected.key, box: selected.box };
  }
  return { kind: "pan", ...start };
}

// The box while it is drawn, moved or resized.
function draftOf({ kind, from, box, h, v }, [px, py]) {
  if (kind === "draw") return sorted([...from, px, py]);
  const [x, y] = [px - from[0], py - from[1]];
  const [x1, y1, x2, y2] = box, { width, height } = current();
  if (kind === "move") {
    const inside = (by, low, high, most) => Math.max(-low, Math.min(most - high, by));
    const [right, down] = [inside(x, x1, x2, width), inside(y, y1, y2, height)];
    return [x1 + right, y1 + down, x2 + right, y2 + down];
  }
  return sorted([h === 0 ? x1 + x : x1, v === 0 ? y1 + y : y1, h === 1 ? x2 + x : x2,
    v === 1 ? y2 + y : y2]);
}

const sorted = ([x1, y1, x2, y2]) =>
  [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];

function pressed(event) {
  if (event.button || event.target.closest("#zoom, #overview")) return;
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  gesture = pointers.size === 1 ? begin(event) : { kind: "pinch" };
  shown.draft = null;
}

function moved(event) {
  if (!pointers.has(event.pointerId)) {
    const handle = !editor.isDrawing && handleAt(event), box = selectedBox();
    const inside = box && contains(box.box, pixelAt(event));
    stage.style.cursor = handle ? cursorOf(handle) : inside && !editor.isDrawing ? "move" : "";
    return;
  }
  const far = Math.hypot(event.clientX - gesture.x, event.clientY - gesture.y);
  if (gesture.kind !== "pinch" && !gesture.isMoved && far < MIN_MOVE) return;
  gesture.isMoved = true;
  if (["pan", "pinch"].includes(gesture.kind)) dragPointers(event, pointers, stage);
  else {
    shown.draft = { key: gesture.key, box: inImage(draftOf(gesture, pixelAt(event))) };
    drawMarks();
  }
}

const cursorOf = ({ h, v }) => h === 0.5 ? "ns-resize" : v === 0.5 ? "ew-resize"
  : h === v ? "nwse-resize" : "nesw-resize";

function released(event) {
  if (!pointers.delete(event.pointerId)) return;
  const { draft } = shown, { kind, isMoved, key } = gesture;
  shown.draft = null;
  if (pointers.size) return; // one finger is left of two
  if (!isMoved && kind !== "pinch" && kind !== "draw") tap(event);
  else if (draft) {
    const [x1, y1, x2, y2] = draft.box;
    const isBox = Math.min(x2 - x1, y2 - y1) >= MIN_BOX;
    if (isBox && kind === "draw") draw(draft.box);
    else if (isBox) setBox(key, draft.box);
    else drawMarks();
  }
}

// Select the smallest box at a point; again, the next larger one.
function tap(event) {
  const margin = 5 / view.scale, point = pixelAt(event);
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const here = selectable().filter(({ box }) => contains(box, point, margin))
    .sort((a, b) => area(a) - area(b));
  const at = here.findIndex(({ key }) => key === shown.selected);
  select(here.length ? here[(at + 1) % here.length].key : null);
}

function listenToPointers() {
  stage.addEventListener("pointerdown", pressed);
  stage.addEventListener("pointermove", moved);
  stage.addEventListener("pointerup", released);
  stage.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    shown.draft = null;
    drawMarks();
  });
  const overview = $("overview");
  const center = (event) => {
    if (!event.buttons) return;
    const frame = overview.getBoundingClientRect(), { width, height } = current();
    zoomTo(view.scale, ((event.clientX - frame.left) / frame.width) * width,
      ((event.clientY - frame.top) / frame.height) * height);
  };
  overview.addEventListener("pointerdown", center);
  overview.addEventListener("pointermove", center);
  $("close-up").addEventListener("click", (event) => {
    event.stopPropagation(); // the other buttons zoom by their factors
    closeUp();
  });
  listenToZoom();
}
