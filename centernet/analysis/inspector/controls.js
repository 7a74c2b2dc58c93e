"use strict";
// Controls and lists, and the updates when they change.

const current = () => about.images[state.image];
const LAYERS = annotated
  ? ["image", "prediction", "target", "difference"] : ["image", "prediction"];
const SORTS = annotated
  ? { worst: "most errors", missed: "most missed", false: "most false positives", name: "by name" }
  : { name: "by name", boxes: "most boxes", unsure: "least certain" };

// ---- build the page

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
    sharp: "single cells" };
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
    ? { right: "correct", false: "false positive", missed: "missed object",
        truth: "detected object", peak: "peak", faint: "peak below threshold" }
    : { right: "box", peak: "peak", faint: "peak below threshold" };
  return Object.entries(entries).map(([kind, text]) =>
    make("li", {}, make("i", { className: `sample ${kind}` }), text));
}

// ---- updates

// After a change of threshold or classes; the list is sorted only when the slider is released.
function refresh({ sorted = true } = {}) {
  $("threshold").disabled = state.best;
  $("threshold-value").textContent = state.best ? "per class" : number(state.threshold);
  drawMarks(current());
  listProblems();
  count();
  if (sorted) sortImages();
}

function count() {
  const total = { objects: 0, boxes: 0, missed: 0, false: 0 };
  const errors = new Map();
  for (const image of about.images) {
    const { objects, boxes } = judge(image);
    const wrong = problems(image);
    image.missed = wrong.filter((thing) => thing.kind === "missed").length;
    image.false = wrong.length - image.missed;
    image.boxes = boxes.length;
    image.errors = new Set(wrong.map(errorKey));
    for (const key of wrong.map(errorKey)) errors.set(key, (errors.get(key) ?? 0) + 1);
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
    ? `${shown}: ${total.objects} objects, ${total.objects - total.missed} detected, ` +
      `${total.missed} missed; ${plural(total.false, "false positive")}`
    : `${shown}: ${plural(total.boxes, "box", "boxes")}`;
  listErrors(errors);
}

const errorKey = (thing) => `${thing.kind === "missed" ? "missed" : "false positive"}: ${thing.error}`;

function listErrors(errors) {
  const rows = [...errors].sort((a, b) => b[1] - a[1]);
  if (state.error && !errors.has(state.error)) rows.push([state.error, 0]);
  $("errors").replaceChildren(...rows.map(([key, times]) => {
    const button = make("button", {
      title: "list only images with this error",
      onclick: () => {
        state.error = state.error === key ? null : key;
        listErrors(errors);
        sortImages();
      },
    }, make("span", { textContent: key }), make("b", { textContent: times }));
    button.setAttribute("aria-pressed", state.error === key);
    button.className = key.split(/[: ]/)[0];
    return make("li", {}, button);
  }));
}

function sortImages() {
  const by = {
    worst: (image) => -errorScore(image),
    missed: (image) => -image.missed,
    false: (image) => -image.false,
    boxes: (image) => -image.boxes,
    // The smallest distance of a score from its threshold.
    unsure: (image) => Math.min(9, ...image.peaks.map((p) => Math.abs(p.score - limit(p.label)))),
    name: () => 0,
  }[$("sort").value];
  const names = new Intl.Collator(undefined, { numeric: true });
  const keyed = about.images.map((image) => [by(image), image]);
  keyed.sort((a, b) => a[0] - b[0] || names.compare(a[1].name, b[1].name));
  const listed = keyed.map(([, image]) => image)
    .filter((image) => !state.error || image.errors.has(state.error));
  $("images").replaceChildren(...listed.map((image) => image.item));
}

const MAX_PROBLEMS = 200; // in the list; the picture shows all

function listProblems() {
  const image = current();
  const wrong = annotated ? problems(image) : [];
  $("problems").replaceChildren(...wrong.slice(0, MAX_PROBLEMS).map((thing) => {
    const [title, sentence] = describe(image, thing);
    const button = make("button", { className: thing.kind, onclick: () => highlight(image, thing) },
      make("b", { textContent: title }), make("span", { textContent: sentence }));
    return make("li", {}, button);
  }));
  if (annotated && !wrong.length) $("problems").append(make("li", { textContent: "No errors." }));
  const more = wrong.length - MAX_PROBLEMS;
  if (more > 0) $("problems").append(make("li", { textContent: `and ${more} more` }));
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
  if (state.image !== place) return; // another image was selected meanwhile
  maps = loaded;
  photo.src = maps.image;
  photo.alt = image.name;
  tip.hidden = true;
  fit(image);
  placeHeat(image, maps.cells);
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
  const [low, high] = state.layer === "difference" ? ["too low", "too high"] : ["0", "1"];
  const bar = make("i", { style: `background: linear-gradient(90deg, ${stops.map(css)})` });
  $("scale").replaceChildren(low, bar, high);
  $("scale").hidden = state.layer === "image";
}
