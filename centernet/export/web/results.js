"use strict";
// Counts, the table of detections, and the controls of thresholds and classes.

// ---- build

function buildClasses() {
  settings.classes.forEach(({ name, color }, label) => {
    const input = make("input", {
      type: "checkbox", checked: true, onchange: () => switchClass(label, input.checked),
    });
    const swatch = make("i", { className: "swatch" });
    swatch.style.setProperty("--color", color);
    const limit = make("span", { className: "quiet limit", title: "score threshold" });
    const count = make("b", { className: "count", textContent: "0" });
    $("classes").append(make("li", {},
      make("label", { className: "check" }, input, swatch, make("bdi", { textContent: name })),
      limit, count));
    const slider = make("input", {
      type: "range", id: `limit-${label}`, min: 0, max: 1, step: 0.01,
      oninput: () => {
        state.thresholds[label] = Number(slider.value);
        refresh();
      },
    });
    $("limits").append(make("label", { className: "slider", htmlFor: slider.id },
      make("bdi", { textContent: name }), make("output"), slider));
  });
  $("all").hidden = settings.classes.length <= MANY;
  $("all").onclick = () => { state.all = !state.all; refresh(); };
}

const MANY = 12; // of more classes, only those in the picture are listed
const MAX_ROWS = 200; // of the table: browsers are slow to lay out more

// ---- changes

function switchClass(label, on) {
  state.classes[on ? "add" : "delete"](label);
  refreshHeat();
  refresh();
}

function setThreshold(value) {
  state.thresholds.fill(clamp(Math.round(100 * value) / 100, 0, 1));
  refresh();
}

function setOpacity(value) {
  state.opacity = value;
  $("opacity-value").textContent = `${Math.round(100 * value)} %`;
  draw();
}

function showHeat(on) {
  state.heat = $("heat").checked = on;
  $("opacity").disabled = !on;
  draw();
}

function refreshHeat() {
  if (state.picture) colorHeat();
  draw();
}

function setLit(index) {
  if (state.lit === index) return;
  state.lit = index;
  for (const row of $("rows").children) {
    row.classList.toggle("lit", Number(row.dataset.index) === index);
  }
  draw();
}

// ---- updates

// After a change of the images, the thresholds or the classes.
function refresh() {
  refreshThresholds();
  refreshGallery();
  refreshPicture();
}

function refreshPicture() {
  const found = state.picture ? shown(state.picture.found) : [];
  refreshCounts(found);
  refreshTable();
  refreshSummary(found);
  refreshZones();
  refreshDownloads();
  draw();
}

function refreshThresholds() {
  const one = oneThreshold();
  const mean = state.thresholds.reduce((sum, value) => sum + value, 0) / state.thresholds.length;
  $("threshold").value = one ? state.thresholds[0] : mean;
  $("threshold").classList.toggle("mixed", !one);
  $("threshold").setAttribute("aria-valuetext", one ? number(state.thresholds[0]) : "per class");
  $("threshold-value").textContent = one ? number(state.thresholds[0]) : "per class";
  const isBest = settings.best && isPreset();
  $("threshold-note").textContent = isBest
    ? "Each class has its best threshold, from validation. The slider sets one for all."
    : one ? "One threshold for all classes." : "Each class has its own threshold.";
  $("preset").hidden = isPreset();
  [...$("limits").children].forEach((row, label) => {
    row.querySelector("input").value = state.thresholds[label];
    row.querySelector("output").textContent = number(state.thresholds[label]);
  });
}

function refreshCounts(found) {
  const counts = countByClass(found);
  const many = settings.classes.length > MANY;
  [...$("classes").children].forEach((row, label) => {
    const count = counts.get(label) ?? 0, on = state.classes.has(label);
    row.querySelector(".count").textContent = on ? count : "off";
    row.querySelector(".limit").textContent = `≥ ${number(state.thresholds[label])}`;
    row.querySelector("input").checked = on;
    row.classList.toggle("none", !count);
    row.hidden = many && !state.all && !count && on;
  });
  $("total").textContent = state.picture ? found.length : "";
  $("all").textContent = state.all
    ? "Show only classes in the picture" : `Show all ${settings.classes.length} classes`;
}

function refreshTable() {
  const { found = [], width = 0, height = 0 } = state.picture ?? {};
  const chosen = [...found.entries()].filter(([, one]) => isShown(one));
  const rows = chosen.slice(0, MAX_ROWS).map(([index, one], i) => tableRow(one, index, i + 1));
  if (chosen.length > MAX_ROWS) {
    const textContent = `${chosen.length - MAX_ROWS} more: the CSV file has all`;
    rows.push(make("tr", {}, make("td"), make("td", { colSpan: 6, textContent })));
  }
  $("rows").replaceChildren(...rows);
  $("table").hidden = !rows.length;
  $("no-rows").hidden = rows.length > 0 || !width || !height;
}

function tableRow({ label, score, box }, index, count) {
  const swatch = make("i", { className: "swatch" });
  swatch.style.setProperty("--color", classColor(label));
  const row = make("tr", {
    tabIndex: 0,
    onmouseenter: () => setLit(index), onmouseleave: () => setLit(null),
    onfocus: () => setLit(index), onblur: () => setLit(null),
  },
  make("td", { textContent: count }),
  make("th", { scope: "row" }, swatch, make("bdi", { textContent: className(label) })),
  make("td", { textContent: number(score) }),
  ...box.map((side) => make("td", { textContent: Math.round(side) })));
  row.dataset.index = index;
  row.classList.toggle("lit", index === state.lit);
  return row;
}

function refreshSummary(found) {
  const { picture } = state;
  $("summary").hidden = !picture;
  if (!picture) return;
  $("name").textContent = picture.name;
  $("counted").textContent = found.length ? inWords(found) : "Nothing found";
  const time = `${Math.round(picture.ms.read + picture.ms.prepare + picture.ms.network)} ms`;
  $("details").textContent = `${formatSize(picture)} px · ${time}` +
    (found.length < settings.top_k ? "" : ` · at most ${settings.top_k} are found, there may be more`);
  $("details").title = `read ${Math.round(picture.ms.read)} ms, resize ` +
    `${Math.round(picture.ms.prepare)} ms, network ${Math.round(picture.ms.network)} ms`;
  const words = `${picture.name}: ${inWords(found)} found`;
  canvas.setAttribute("aria-label", words);
  announce(words);
}

let announced = 0;

// For screen readers; of a video not every frame.
function announce(words) {
  const now = performance.now();
  if (live.video && now - announced < 4000) return;
  announced = now;
  if ($("announcer").textContent !== words) $("announcer").textContent = words;
}

// Show one line about a failure, or none.
function say(text = "") {
  $("message").hidden = !text;
  $("message-text").textContent = text;
}
