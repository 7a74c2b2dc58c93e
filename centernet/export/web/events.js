"use strict";
// Files that are dropped, pasted or chosen; pointer and keyboard; the start of the page.

// ---- files

async function dropFiles({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folders = entries.filter((entry) => entry.isDirectory);
  if (!folders.length) return addFiles([...files]);
  const listed = await Promise.all(entries.map((entry) => filesOf(entry)));
  addFiles(listed.flat(), { folder: true });
}

// All files below an entry of a drop, each with its path.
async function filesOf(entry, folder = "") {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [Object.assign(file, { path })];
  }
  const reader = entry.createReader(), found = [];
  for (;;) { // a reader returns a hundred entries at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((one) => filesOf(one, `${path}/`)))).flat();
}

function listenToFiles() {
  // Phones choose no folders.
  $("open-folder").hidden = !("webkitdirectory" in $("folder")) || matchMedia("(pointer: coarse)").matches;
  for (const [button, input] of [["open", "files"], ["browse", "files"], ["open-folder", "folder"],
    ["open-video", "video"]]) {
    $(button).onclick = () => $(input).click();
  }
  for (const id of ["files", "folder", "video"]) {
    $(id).onchange = () => {
      addFiles([...$(id).files], { folder: id === "folder" });
      $(id).value = ""; // so that the same file can be chosen again
    };
  }
  $("open-camera").onclick = openCamera;
  let depth = 0; // of the elements that a drag is over
  const over = (by) => {
    depth = by ? Math.max(0, depth + by) : 0;
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", () => over(1));
  addEventListener("dragleave", () => over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(0);
    dropFiles(event.dataTransfer);
  });
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) addFiles([...clipboardData.files]);
  });
}

// ---- pointer

const pointers = new Map();

function placeOf({ clientX, clientY }) {
  const frame = canvas.getBoundingClientRect();
  return [clientX - frame.left, clientY - frame.top];
}

function drag(event) {
  if (pointers.has(event.pointerId)) dragPointers(event, pointers, canvas);
  else if (state.picture) setLit(boxAt(...placeOf(event)));
}

function listenToPointers() {
  canvas.onpointerdown = (event) => {
    if (!state.picture) return;
    setLit(boxAt(...placeOf(event)));
    pointers.set(event.pointerId, event);
    if (canvas.classList.contains("zoomed")) canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = drag;
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
    canvas.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      if (end === "pointerleave") setLit(null);
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), ...placeOf(event));
  }, { passive: false });
  canvas.ondblclick = () => zones.draft ? finishDraft() : fit();
  let width = 0, height = 0;
  new ResizeObserver(() => {
    if (canvas.clientWidth === width && canvas.clientHeight === height) return;
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    fit();
  }).observe(canvas);
}

// ---- keys

const KEYS = {
  ArrowLeft: () => live.video && !live.isCamera ? stepFrame(-1) : step(-1),
  ArrowRight: () => live.video && !live.isCamera ? stepFrame(1) : step(1),
  " ": () => setRunning(!live.running), ".": () => stepFrame(), s: takeSnapshot,
  h: () => engine.maps && showHeat(!state.heat), b: () => $("boxes").click(),
  "[": () => setThreshold(Number($("threshold").value) - 0.01),
  "]": () => setThreshold(Number($("threshold").value) + 0.01),
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fit,
  z: () => startDraft("zone"), l: () => startDraft("line"),
  o: () => $("open").click(), c: openCamera, "?": () => $("keys").showModal(),
};
for (let i = 1; i < 10; i++) KEYS[i] = () => $("classes").querySelectorAll("input")[i - 1]?.click();

function press(event) {
  const { key, target } = event;
  if (target.matches("[type=text]") || pressInDraft(event)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[key]) return;
  if (document.querySelector("dialog[open]")) return;
  if (target.matches("select, [type=range]") && key.startsWith("Arrow")) return;
  if (target.matches("button, summary, input, a") && key === " ") return;
  event.preventDefault();
  KEYS[key]();
}

// ---- start

function listenToControls() {
  $("threshold").oninput = () => setThreshold(Number($("threshold").value));
  $("preset").onclick = () => {
    state.thresholds = [...preset];
    refresh();
  };
  $("heat").onchange = () => showHeat($("heat").checked);
  $("opacity").oninput = () => setOpacity(Number($("opacity").value));
  $("boxes").onchange = () => {
    state.boxes = $("boxes").checked;
    draw();
  };
  $("cancel").onclick = () => { queue.canceled = true; };
  $("dismiss").onclick = () => say();
  $("play").onclick = () => setRunning(!live.running);
  $("step").onclick = () => stepFrame();
  $("seek").oninput = () => seek(Number($("seek").value));
  $("snapshot").onclick = takeSnapshot;
  $("turn").onclick = turnCamera;
  $("stop").onclick = closeLive;
  $("zoom").onclick = ({ target }) => {
    const factor = Number(target.dataset.zoom);
    if (factor) zoomBy(factor);
    else fit();
  };
  for (const [kind, save] of Object.entries(DOWNLOADS)) $(`save-${kind}`).onclick = save;
  for (const id of ["keys", "about"]) {
    $(`open-${id}`).onclick = () => $(id).showModal();
    $(id).onclick = ({ target }) => { // the cross, or beside the dialog
      if (target === $(id) || target.matches("h2 button")) $(id).close();
    };
  }
  addEventListener("keydown", press);
}

async function load() {
  const began = performance.now();
  await engine.start();
  document.body.classList.add("ready");
  document.body.dataset.loaded = Math.round(performance.now() - began);
  $("engine").textContent = "Ready.";
  $("heat-controls").hidden = !engine.maps;
  if (!engine.maps) state.heat = false;
}

let ready = null;

function start() {
  buildClasses();
  listenToFiles();
  listenToPointers();
  listenToControls();
  listenToZones();
  setOpacity(state.opacity);
  $("colors").style.background =
    `linear-gradient(90deg, ${settings.heat_colors.filter((_, i) => i % 15 === 0).map((c) => `rgb(${c})`)})`;
  refresh();
  ready = load();
  ready.catch((error) => {
    $("engine").textContent = "The detector cannot start.";
    say(`The detector cannot start: ${error.message}. Reload the page, or use another browser.`);
  });
}

if (!window.unsupported) start();
