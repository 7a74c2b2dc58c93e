"use strict";
// The list of suspicions, the card of the shown one, progress and counts.

const MAX_GAP = 120, RECENT = 30; // seconds between decisions, number of decisions
const times = []; // seconds for each decision
let lastTime = null;

// What accepting a suspicion does.
function proposalText(suspicion) {
  const { objects, boxes: proposed, label } = suspicion;
  const { labels, boxes: annotatedBoxes } = images[suspicion.image];
  const before = objects.length ? className(labels[objects[0]]) : "";
  const after = label === null ? "" : className(label);
  if (!objects.length) {
    return proposed.length > 1 ? `Add ${proposed.length} ${after} boxes` : `Add a box: ${after}`;
  }
  if (!proposed.length) {
    return objects.length > 1 ? `Remove ${objects.length} boxes` : `Remove the box: ${before}`;
  }
  if (isChange(suspicion)) {
    if (before === after) return `Move the box: ${after}`;
    const isMoved = !isSame(proposed[0], annotatedBoxes[objects[0]]);
    return `Change ${before} to ${after}${isMoved ? ", and move the box" : ""}`;
  }
  return `Replace ${plural(objects.length, "box", "boxes")} by ${proposed.length}: ${after}`;
}

// ---- list

const rows = []; // of the list, by suspicion

function buildList() {
  suspicions.forEach((suspicion, index) => {
    const name = className(labelOf(suspicion));
    const button = make("button", { onclick: () => show(index) },
      make("img", { src: suspicion.thumbnail, alt: "", loading: "lazy" }),
      make("span", {}, make("b", { textContent: suspicion.kind }),
        make("small", { textContent: `${name} · ${number(suspicion.score)}` })),
      make("i"));
    const item = make("li", {}, button);
    rows.push({ item, button, mark: button.lastChild });
    $("list").append(item);
  });
  const count = new Map();
  for (const { kind } of suspicions) count.set(kind, (count.get(kind) ?? 0) + 1);
  $("kind").append(make("option", { value: "", textContent: `all kinds (${suspicions.length})` }));
  for (const kind of about.kinds.filter((name) => count.has(name))) {
    $("kind").append(make("option", { value: kind, textContent: `${kind} (${count.get(kind)})` }));
  }
  classes.forEach(({ name }, label) => {
    const textContent = label < 9 ? `${label + 1} ${name}` : name; // with its key
    $("class").append(make("option", { value: label, textContent }));
    $("heat-class").append(make("option", { value: label, textContent: name }));
  });
  $("heat-class").prepend(make("option", { value: "", textContent: "its class", selected: true }));
}

const MARKS = { accepted: "✓", rejected: "✕", edited: "✎" };

const isListed = (index) =>
  (!$("kind").value || suspicions[index].kind === $("kind").value) &&
  ($("shown").value === "all" || (state.decisions[index] ?? "undecided") === $("shown").value);

function refreshList() {
  let listed = 0;
  rows.forEach(({ item, button, mark }, index) => {
    const decision = state.decisions[index];
    item.hidden = !isListed(index);
    listed += !item.hidden;
    button.className = decision ?? "";
    mark.textContent = MARKS[decision] ?? "";
    mark.title = decision ?? "";
    if (index === state.at) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  $("none").hidden = listed > 0;
}

// ---- the shown suspicion

function refreshCard() {
  const suspicion = suspicions[state.at], image = images[suspicion.image];
  const decision = state.decisions[state.at];
  $("rank").textContent = `${state.at + 1} of ${suspicions.length}`;
  $("what").textContent = proposalText(suspicion);
  $("kind-name").textContent = suspicion.kind;
  $("kind-name").className = `badge ${suspicion.objects.length ? "" : "add"}`;
  $("score").textContent = `score ${number(suspicion.score)}`;
  $("reason").textContent = suspicion.reason;
  $("decision").textContent = decision ? `${MARKS[decision]} ${decision}` : "";
  $("decision").className = decision ?? "";
  $("name").textContent = `${image.split} / ${image.file_name}`;
  $("accept").setAttribute("aria-pressed", isApplied(state.at));
  $("reject").setAttribute("aria-pressed", decision === REJECTED);
}

function refreshTools() {
  const selected = selectedBox();
  $("class").value = selected?.label ?? editor.label ?? labelOf(suspicions[state.at]);
  $("delete").disabled = !selected;
  $("draw").setAttribute("aria-pressed", editor.isDrawing);
  stage.classList.toggle("drawing", editor.isDrawing);
  $("undo").disabled = !state.done;
  $("redo").disabled = state.done === state.steps.length;
  $("show-heat").checked = shown.heat;
  $("show-others").checked = shown.others;
}

// ---- progress

const undecided = () => suspicions.flatMap((_, i) => state.decisions[i] ? [] : [i]);

function timeDecision() {
  const now = Date.now() / 1000;
  if (lastTime !== null) times.push(Math.min(MAX_GAP, now - lastTime));
  lastTime = now;
}

function timeLeft(count) {
  const recent = times.slice(-RECENT).sort((a, b) => a - b);
  if (recent.length < 5 || !count) return "";
  const minutes = Math.ceil((count * recent[Math.floor(recent.length / 2)]) / 60);
  const text = minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
  return ` · about ${text} left`;
}

function refreshProgress() {
  const total = suspicions.length, left = undecided().length;
  const more = about.total > total ? `; the first ${total} of ${about.total}` : "";
  $("bar").max = total || 1;
  $("bar").value = total - left;
  $("decided").textContent = `${total - left} of ${total} decided${timeLeft(left)}${more}`;
  const changes = countChanges();
  $("summary").textContent = changes.images
    ? `${changes.add} added, ${changes.remove} removed, ${changes.change} changed, ` +
      `in ${plural(changes.images, "image")}`
    : "None yet.";
  $("kept").textContent = isStored ? "This browser keeps your decisions."
    : "This browser keeps nothing of this file: save the corrections before you close it.";
  $("kept").className = isStored ? "quiet" : "bad";
  const above = acceptable();
  $("accept-all").textContent = `Accept ${above.length}`;
  $("accept-all").disabled = !above.length;
}

// Listed suspicions that are undecided, from the score in the form.
const acceptable = () => undecided().filter((index) =>
  suspicions[index].score >= Number($("above").value) &&
  (!$("kind").value || suspicions[index].kind === $("kind").value));

// ---- updates

// After a change of decisions or boxes.
function refresh() {
  refreshList();
  refreshCard();
  refreshTools();
  refreshProgress();
  drawMarks();
}

function announce(text) {
  $("status").textContent = text;
}

const spoken = (index) => `${suspicions[index].kind}, score ${number(suspicions[index].score)}: ` +
  `${proposalText(suspicions[index])}. ${suspicions[index].reason}`;

// Show a suspicion, zoomed to it.
async function show(index) {
  state.at = index;
  shown.selected = shown.draft = editor.label = null;
  editor.isDrawing = false;
  refresh();
  scrollList(rows[index].item);
  const { image } = suspicions[index];
  const maps = await load(image);
  if (state.at !== index) return; // another one was selected meanwhile
  Object.assign(shown, { image, maps });
  for (const picture of [photo, $("small")]) {
    if (picture.src !== maps.image) picture.src = maps.image;
  }
  photo.alt = images[image].file_name;
  $("overview").style.aspectRatio = `${images[image].width} / ${images[image].height}`;
  closeUp();
  drawHeat();
  drawMarks();
  const following = after(index);
  if (following !== null) load(suspicions[following].image);
}

// Scroll the list, but not the page, so that an entry and its neighbors are visible.
function scrollList({ offsetTop: top, offsetHeight: height }) {
  const list = $("list"), least = top + 2 * height - list.clientHeight;
  list.scrollTop = Math.min(top - height, Math.max(list.scrollTop, least));
}

// The next listed suspicion that is undecided, also from the start again; null if all are decided.
function after(index) {
  const left = undecided().filter((other) => other !== index && isListed(other));
  return left.find((other) => other > index) ?? left[0] ?? null;
}

// The listed suspicion before or after the shown one.
function step(by) {
  const listed = [...suspicions.keys()].filter((index) => isListed(index) || index === state.at);
  const index = listed[listed.indexOf(state.at) + by];
  if (index !== undefined) show(index).then(() => announce(spoken(index)));
}
