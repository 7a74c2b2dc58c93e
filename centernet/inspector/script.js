"use strict";
// Controls, lists and keys, and what happens when they change.

const $ = (id) => document.getElementById(id);
const current = () => about.images[state.image];
const LAYERS = annotated
  ? ["image", "prediction", "target", "difference"] : ["image", "prediction"];
const SORTS = annotated
  ? { worst: "worst first", missed: "most missed", false: "most false", name: "by name" }
  : { name: "by name", boxes: "most boxes", unsure: "least sure" };

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// ---- building the page once

function build() {
  for (const layer of LAYERS) {
    const input = make("input", {
      type: "radio", name: "layer", value: layer, checked: layer === state.layer,
      onchange: () => { state.layer = layer; drawHeat(); drawScale(); },
    });
    $("layers").append(make("label", { title: `key ${layer[0]}` }, input, layer));
  }
  about.classes.forEach(({ name, color }, label) => {
    const input = make("input", {
      type: "checkbox", checked: true, onchange: () => switchClass(label, input.checked),
    });
    const swatch = make("i", { className: "swatch", style: `--color: ${color}` });
    $("classes").append(make("label", { className: "check" }, input, swatch, name));
  });
  const shown = { boxes: "boxes (b)", truth: "ground truth (g)", peaks: "peaks (e)",
    sharp: "sharp cells" };
  for (const [what, text] of Object.entries(shown)) {
    if (what === "truth" && !annotated) continue;
    const input = make("input", {
      type: "checkbox", id: `show-${what}`, checked: state[what],
      onchange: () => { state[what] = input.checked; drawMarks(current()); drawHeat(); },
    });
    $("shown").append(make("label", { className: "check" }, input, text));
  }
  for (const [value, text] of Object.entries(SORTS)) {
    $("sort").append(make("option", { value, textContent: text }));
  }
  about.images.forEach((image, place) => {
    image.button = make("button", { onclick: () => select(place) },
      make("img", { src: image.thumbnail, alt: "", loading: "lazy" }),
      make("span", {}, make("b", {}, make("bdi", { textContent: image.name })), make("small")));
    image.item = make("li", {}, image.button);
  });
  $("legend").append(...legend());
  $("best-row").hidden = !about.best;
  $("best").checked = state.best;
  $("threshold").value = state.threshold;
  $("here").hidden = $("everywhere").hidden = !annotated;
}

function legend() {
  const entries = annotated
    ? { right: "found", false: "false", missed: "missed", truth: "annotated, found",
        peak: "peak", faint: "peak below the threshold" }
    : { right: "box", peak: "peak", faint: "peak below the threshold" };
  return Object.entries(entries).map(([kind, text]) =>
    make("li", {}, make("i", { className: `sample ${kind}` }), text));
}

// ---- what follows a change

// After the threshold or the classes changed; the list is sorted anew only when it is let go.
function refresh({ sorted = true } = {}) {
  $("threshold").disabled = state.best;
  $("threshold-value").textContent = state.best ? "by class" : number(state.threshold);
  drawMarks(current());
  listProblems();
  count();
  if (sorted) sortImages();
}

function count() {
  const total = { objects: 0, boxes: 0, missed: 0, false: 0 };
  const reasons = new Map();
  for (const image of about.images) {
    const { objects, boxes } = judge(image);
    const wrong = problems(image);
    image.missed = wrong.filter((thing) => thing.kind === "missed").length;
    image.false = wrong.length - image.missed;
    image.boxes = boxes.length;
    image.reasons = new Set(wrong.map(reasonKey));
    for (const key of wrong.map(reasonKey)) reasons.set(key, (reasons.get(key) ?? 0) + 1);
    total.objects += objects.length;
    total.boxes += boxes.length;
    total.missed += image.missed;
    total.false += image.false;
    const text = annotated ? `${image.missed} missed · ${image.false} false`
      : plural(image.boxes, "box", "boxes");
    image.button.querySelector("small").textContent = text;
    image.item.classList.toggle("good", annotated && !wrong.length);
  }
  const shown = plural(about.images.length, "image") +
    (about.seen > about.images.length ? `, the worst of ${about.seen}` : "");
  $("summary").textContent = annotated
    ? `${shown}: ${total.objects} objects, ${total.objects - total.missed} found, ` +
      `${total.missed} missed; ${total.false} false boxes`
    : `${shown}: ${plural(total.boxes, "box", "boxes")}`;
  listReasons(reasons);
}

const reasonKey = (thing) => `${thing.kind === "missed" ? "missed" : "false"}: ${thing.reason}`;

function listReasons(reasons) {
  const rows = [...reasons].sort((a, b) => b[1] - a[1]);
  if (state.reason && !reasons.has(state.reason)) rows.push([state.reason, 0]);
  $("reasons").replaceChildren(...rows.map(([key, times]) => {
    const button = make("button", {
      title: "list only images with this",
      onclick: () => {
        state.reason = state.reason === key ? null : key;
        listReasons(reasons);
        sortImages();
      },
    }, make("span", { textContent: key }), make("b", { textContent: times }));
    button.setAttribute("aria-pressed", state.reason === key);
    button.className = key.split(":")[0];
    return make("li", {}, button);
  }));
}

function sortImages() {
  const by = {
    worst: (image) => -badness(image),
    missed: (image) => -image.missed,
    false: (image) => -image.false,
    boxes: (image) => -image.boxes,
    // The distance of the peak nearest to the threshold.
    unsure: (image) => Math.min(9, ...image.peaks.map((p) => Math.abs(p.score - limit(p.label)))),
    name: () => 0,
  }[$("sort").value];
  const names = new Intl.Collator(undefined, { numeric: true });
  const keyed = about.images.map((image) => [by(image), image]);
  keyed.sort((a, b) => a[0] - b[0] || names.compare(a[1].name, b[1].name));
  const listed = keyed.map(([, image]) => image)
    .filter((image) => !state.reason || image.reasons.has(state.reason));
  $("images").replaceChildren(...listed.map((image) => image.item));
}

function listProblems() {
  const image = current();
  const wrong = annotated ? problems(image) : [];
  $("problems").replaceChildren(...wrong.map((thing) => {
    const [title, sentence] = describe(image, thing);
    const button = make("button", { className: thing.kind, onclick: () => spotlight(image, thing) },
      make("b", { textContent: title }), make("span", { textContent: sentence }));
    return make("li", {}, button);
  }));
  if (annotated && !wrong.length) $("problems").append(make("li", { textContent: "All is well." }));
}

async function select(place) {
  state.image = place;
  const image = current();
  for (const other of about.images) {
    if (other === image) other.button.setAttribute("aria-current", "true");
    else other.button.removeAttribute("aria-current");
  }
  image.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  $("name").textContent = image.name;
  const loaded = await loadMaps(place);
  if (state.image !== place) return; // another one was chosen meanwhile
  maps = loaded;
  photo.src = maps.image;
  photo.alt = image.name;
  tip.hidden = true;
  fit(image);
  placeHeat(image);
  drawHeat();
  drawMarks(image);
  listProblems();
}

function step(by) {
  const listed = [...$("images").children];
  const at = listed.indexOf(current().item);
  const item = listed[Math.min(Math.max(at + by, 0), listed.length - 1)];
  return item && select(about.images.findIndex((image) => image.item === item));
}

function switchClass(label, on) {
  state.classes[on ? "add" : "delete"](label);
  refresh();
  drawHeat();
}

function setThreshold(value, options) {
  const { min, max } = $("threshold");
  state.threshold = Math.min(Math.max(value, Number(min)), Number(max));
  $("threshold").value = state.threshold;
  refresh(options);
}

function setOpacity(value) {
  heat.style.opacity = value;
  $("opacity-value").textContent = `${Math.round(100 * value)} %`;
}

function drawScale() {
  const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;
  const black = [0, 0, 0];
  const stops = state.layer === "difference" ? [TOO_LITTLE, black, TOO_MUCH]
    : about.heat_colors.filter((_, i) => i % 16 === 0);
  const [low, high] = state.layer === "difference" ? ["too little heat", "too much"] : ["0", "1"];
  const bar = make("i", { style: `background: linear-gradient(90deg, ${stops.map(css)})` });
  $("scale").replaceChildren(low, bar, high);
  $("scale").hidden = state.layer === "image";
}

// ---- pointer: hover, drag, pinch, wheel

const pointers = new Map();

function hover(event) {
  const element = event.target.closest?.("[data-thing]");
  if (element) showTip(marks.things[element.dataset.thing], event.clientX, event.clientY);
  else tip.hidden = true;
  if (!maps) return;
  const frame = stage.getBoundingClientRect();
  const pixel = [(event.clientX - frame.left - view.x) / view.scale,
    (event.clientY - frame.top - view.y) / view.scale];
  const [scaleX, shiftX, scaleY, shiftY] = current().matrix;
  const column = Math.floor((pixel[0] - shiftX) / scaleX);
  const row = Math.floor((pixel[1] - shiftY) / scaleY);
  const [width, height] = maps.cells;
  const inside = column >= 0 && row >= 0 && column < width && row < height;
  const said = LAYERS.slice(1, 3).map((layer) =>
    inside && `${layer} ${number(cellValues(layer)[row * width + column])}`);
  $("readout").textContent = inside ? `cell (${column}, ${row}): ${said.join(", ")}` : "";
}

function drag(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return hover(event);
  const span = () => {
    const [a, b] = [...pointers.values()];
    return b && Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  const wide = span();
  pointers.set(event.pointerId, event);
  panBy((event.clientX - before.clientX) / pointers.size,
    (event.clientY - before.clientY) / pointers.size);
  if (!wide) return;
  const frame = stage.getBoundingClientRect();
  const [a, b] = [...pointers.values()];
  zoomBy(span() / wide, (a.clientX + b.clientX) / 2 - frame.left,
    (a.clientY + b.clientY) / 2 - frame.top);
}

function listenToPointers() {
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("#zoom")) return;
    hover(event);
    pointers.set(event.pointerId, event);
    // Not at once: captured, a tap would no longer be on the mark.
    if (stage.classList.contains("zoomed")) stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  stage.addEventListener("pointerleave", () => { tip.hidden = true; $("readout").textContent = ""; });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = stage.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 400), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });
  stage.addEventListener("dblclick", () => fit(current()));
  $("zoom").addEventListener("click", ({ target }) => {
    const factor = Number(target.dataset.zoom);
    if (factor) zoomBy(factor);
    else fit(current());
  });
  new ResizeObserver(() => fit(current())).observe(stage);
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

// A link may name an image, and an object or a peak in it: #image=3&object=5
async function follow() {
  const named = new URLSearchParams(location.hash.slice(1));
  const place = Number(named.get("image"));
  if (!named.has("image") || !about.images[place]) return false;
  await select(place);
  const { objects, boxes, faint } = judge(current());
  const thing = named.has("object")
    ? objects.find((object) => object.index === Number(named.get("object")))
    : [...boxes, ...faint].find((box) => box.index === Number(named.get("peak") ?? -1));
  if (thing) spotlight(current(), thing);
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
