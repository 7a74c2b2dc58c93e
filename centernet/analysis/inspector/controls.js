"use strict";
// Controls and lists, and what follows when they change.

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
  $("threshold").min = about.floor;
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
