"use strict";
// Decisions, files and the keyboard, and the start of the page.

// ---- decisions

function decide(act, word) {
  const { at } = state;
  const isNewDecision = state.decisions[at] === null;
  act(at);
  if (isNewDecision) timeDecision();
  store();
  const following = after(at);
  if (following === null) {
    shown.selected = null;
    refresh();
    announce(`${word}. All are decided: save the corrections.`);
  } else show(following).then(() => announce(`${word}. ${spoken(following)}`));
}

function travel(step, word) {
  if (!step) return;
  store();
  show(Math.min(step.at, suspicions.length - 1)).then(() => announce(word));
}

function acceptAbove(event) {
  event.preventDefault();
  const chosen = acceptable();
  acceptAll(chosen);
  store();
  show(after(-1) ?? state.at).then(() => announce(`${chosen.length} accepted`));
}

// ---- files

let savedAt = 0; // number of steps in the newest file

function save() {
  download("corrections.json", JSON.stringify(corrections(), null, 1), "application/json");
  savedAt = state.done;
  announce("corrections.json is saved");
}

function message(text) {
  $("message").hidden = !text;
  $("message").textContent = text;
}

async function openFile() {
  const [file] = $("file").files;
  $("file").value = "";
  if (!file) return;
  try {
    const left = openCorrections(JSON.parse(await file.text()));
    const counts = [[left.images, "image"], [left.decisions, "decision"],
      [left.boxes, "box", "boxes"]];
    const parts = counts.filter(([count]) => count).map((part) => plural(...part));
    message(parts.length ? `${file.name}: left out ${parts.join(", ")} unknown to this page.` : "");
    store();
    await show(after(-1) ?? 0);
  } catch (error) {
    message(`${file.name} cannot be opened: ${error.message}`);
    refresh();
  }
}

// ---- keys

const click = (id) => $(id).click();

const KEYS = {
  a: () => click("accept"), r: () => click("reject"), j: () => step(1), k: () => step(-1),
  u: () => click("undo"), U: () => click("redo"),
  d: () => setDrawing(!editor.isDrawing), b: selectNext,
  Delete: deleteSelected, Backspace: deleteSelected,
  h: () => click("show-heat"), o: () => click("show-others"), s: save,
  z: closeUp, 0: () => fit(current()),
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5),
  Escape: () => setDrawing(false),
};
for (let i = 1; i < 10; i++) KEYS[i] = () => setClass(i - 1);
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function press(event) {
  const { key, target } = event;
  if (event.altKey || target.matches("select, input:not([type=checkbox])")) return;
  if (event.ctrlKey || event.metaKey) {
    const act = { z: event.shiftKey ? "redo" : "undo", y: "redo", Z: "redo" }[key];
    if (!act) return;
    event.preventDefault();
    click(act);
  } else if (ARROWS[key]) {
    if (selectedBox()) nudge(ARROWS[key], event.shiftKey);
    else if (ARROWS[key][0] && target !== stage) step(ARROWS[key][0]);
    else if (target === stage) panBy(...ARROWS[key].map((value) => -60 * value));
    else return;
    event.preventDefault();
  } else if (KEYS[key]) {
    event.preventDefault();
    KEYS[key]();
  }
}

// After a choice by pointer, keys decide again.
function leave(element) {
  if (!element.matches(":focus-visible")) element.blur();
}

// ---- start

function listen() {
  $("accept").onclick = () => decide(accept, "Accepted");
  $("reject").onclick = () => decide(reject, "Rejected");
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("undo").onclick = () => travel(undo(), "Undone");
  $("redo").onclick = () => travel(redo(), "Redone");
  $("save").onclick = save;
  $("open").onclick = () => click("file");
  $("file").onchange = openFile;
  $("draw").onclick = () => setDrawing(!editor.isDrawing);
  $("delete").onclick = deleteSelected;
  $("class").onchange = ({ target }) => { setClass(Number(target.value)); leave(target); };
  $("heat-class").onchange = ({ target }) => {
    shown.heatLabel = target.value === "" ? null : Number(target.value);
    shown.heat = true;
    refreshTools();
    drawHeat();
    leave(target);
  };
  $("show-heat").onchange = () => { shown.heat = $("show-heat").checked; drawHeat(); };
  $("show-others").onchange = () => { shown.others = $("show-others").checked; drawMarks(); };
  $("opacity").oninput = () => { heat.style.opacity = $("opacity").value; };
  $("opacity").onchange = ({ target }) => leave(target);
  $("kind").onchange = $("shown").onchange = ({ target }) => { filter(); leave(target); };
  $("above").oninput = refreshProgress;
  $("accept-above").onsubmit = acceptAbove;
  document.addEventListener("keydown", press);
  listenToPointers();
  addEventListener("beforeunload", (event) => {
    if (!isStored && savedAt !== state.done) event.preventDefault();
  });
}

// Show the first suspicion of the list, if the shown one is not in it.
function filter() {
  refresh();
  const first = [...suspicions.keys()].find(isListed);
  if (!isListed(state.at) && first !== undefined) show(first);
}

async function start() {
  if (!suspicions.length) {
    message("No label errors are suspected.");
    const parts = document.querySelectorAll("main, #progress, #files");
    for (const element of parts) element.hidden = true;
    return;
  }
  restore();
  whenView.scales = drawMarks;
  whenView.moves = drawOverview;
  buildList();
  listen();
  heat.style.opacity = $("opacity").value;
  const isSmall = matchMedia("(max-width: 59.99rem)").matches;
  if (isSmall) $("keys").removeAttribute("open");
  const at = Math.min(state.at, suspicions.length - 1);
  await show(state.decisions[at] ? after(at) ?? at : at);
  document.body.classList.add("ready");
}

start();
