"use strict";
// Pointer and keyboard events, and the start of the page.

// ---- pointer: hover, drag, pinch, wheel

const pointers = new Map();

function hover(event) {
  const element = event.target.closest?.("[data-thing]");
  if (element) showTip(marks.things[element.dataset.thing], event.clientX, event.clientY);
  else tip.hidden = true;
  if (!maps) return;
  const pixel = pixelAt(event);
  const [scaleX, shiftX, scaleY, shiftY] = current().matrix;
  const column = Math.floor((pixel[0] - shiftX) / scaleX);
  const row = Math.floor((pixel[1] - shiftY) / scaleY);
  const [width, height] = maps.cells;
  const inside = column >= 0 && row >= 0 && column < width && row < height;
  const values = LAYERS.slice(1, 3).map((layer) =>
    inside && `${layer} ${number(cellValues(layer)[row * width + column])}`);
  $("readout").textContent = inside ? `cell (${column}, ${row}): ${values.join(", ")}` : "";
}

function drag(event) {
  if (pointers.has(event.pointerId)) dragPointers(event, pointers, stage);
  else hover(event);
}

function listenToPointers() {
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("#zoom")) return;
    hover(event);
    pointers.set(event.pointerId, event);
    // Only when zoomed in: with a captured pointer, a tap would not reach the mark.
    if (stage.classList.contains("zoomed")) stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  stage.addEventListener("pointerleave", () => { tip.hidden = true; $("readout").textContent = ""; });
  stage.addEventListener("dblclick", () => fit(current()));
  listenToZoom();
}

// ---- keys

function click(selector) {
  document.querySelector(selector)?.click();
}

function nextProblem() {
  const buttons = [...document.querySelectorAll("#problems button")];
  const button = buttons[(buttons.indexOf(document.activeElement) + 1) % buttons.length];
  button?.focus();
  button?.click();
}

const KEYS = {
  j: () => step(1), k: () => step(-1), n: nextProblem,
  b: () => click("#show-boxes"), g: () => click("#show-truth"), e: () => click("#show-peaks"),
  "[": () => setThreshold(state.threshold - 0.01), "]": () => setThreshold(state.threshold + 0.01),
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: () => fit(current()),
};
for (const layer of LAYERS) KEYS[layer[0]] = () => click(`#layers input[value=${layer}]`);
for (let i = 1; i < 10; i++) KEYS[i] = () => $("classes").querySelectorAll("input")[i - 1]?.click();
const PANS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  if (event.target === stage && PANS[event.key]) {
    event.preventDefault();
    panBy(...PANS[event.key]);
  } else KEYS[event.key]?.();
}

// ---- start

// A link may select an image, and an object or a peak in it: #image=3&object=5
async function follow() {
  const named = new URLSearchParams(location.hash.slice(1));
  const place = Number(named.get("image"));
  if (!named.has("image") || !about.images[place]) return false;
  await select(place);
  const { objects, boxes, faint } = judge(current());
  const thing = named.has("object")
    ? objects.find((object) => object.index === Number(named.get("object")))
    : [...boxes, ...faint].find((box) => box.index === Number(named.get("peak") ?? -1));
  if (thing) highlight(current(), thing);
  return true;
}

async function start() {
  build();
  let waiting = false;
  $("threshold").oninput = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      setThreshold(Number($("threshold").value), { sorted: false });
    });
  };
  $("threshold").onchange = () => setThreshold(Number($("threshold").value));
  $("best").onchange = () => { state.best = $("best").checked; refresh(); };
  $("opacity").oninput = () => setOpacity(Number($("opacity").value));
  $("sort").onchange = sortImages;
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  document.addEventListener("keydown", press);
  listenToPointers();
  setOpacity(Number($("opacity").value));
  drawScale();
  refresh();
  if (!(await follow())) {
    await select(about.images.findIndex((image) => image.item === $("images").firstChild));
  }
  addEventListener("hashchange", follow);
}

start();
