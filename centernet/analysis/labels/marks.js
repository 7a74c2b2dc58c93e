"use strict";
// The shown suspicion: its picture, heatmap, boxes and proposal.

const shown = {
  image: suspicions[0]?.image ?? 0, // the image in the stage; follows the shown suspicion
  maps: null, // {image, cells, heat by label}
  selected: null, // key of a box
  draft: null, // {key, box}: a box that is being drawn, moved or resized
  heat: false,
  heatLabel: null, // null: the class of the suspicion
  others: true,
};
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const MIN_SIDE = 40; // screen pixels; handles on the sides of smaller boxes would overlap
const MIN_ARROW = 9; // screen pixels
const MAX_LOADED = 8; // images
const CONTEXT = 3; // sides of the stage and of the suspicion in it
const OFF_CENTER = 0.22; // most distance of a suspicion from the center of the stage
const MIN_PART = 10; // sides of the image and of the smallest suspicion

const current = () => images[shown.image];

// ---- picture and heatmap

const loaded = new Map();

function load(image) {
  const promise = loaded.get(image) ?? readPictures(image);
  loaded.delete(image);
  loaded.set(image, promise); // the newest comes last
  if (loaded.size > MAX_LOADED) loaded.delete(loaded.keys().next().value);
  return promise;
}

async function readPictures(image) {
  const pictures = JSON.parse($(`pictures-${image}`).textContent);
  const planes = Object.entries(pictures.heat);
  const maps = { ...pictures, heat: new Map(await Promise.all(
    planes.map(async ([label, uri]) => [Number(label), await levels(uri, pictures.cells)]))) };
  // Decodes the image ahead.
  await Object.assign(new Image(), { src: pictures.image }).decode();
  return maps;
}

// The class that a suspicion is about.
const labelOf = ({ image, label, objects }) => label ?? images[image].labels[objects[0]] ?? 0;

function drawHeat() {
  const label = shown.heatLabel ?? labelOf(suspicions[state.at]);
  const plane = shown.maps?.heat.get(label);
  heat.hidden = !shown.heat || !plane;
  if (heat.hidden) return;
  placeHeat(current(), shown.maps.cells);
  paintHeat(shown.maps.cells, Array.from(plane, (value) => value / 255),
    (value) => about.heat_colors[Math.round(255 * value)]);
}

// Zoom to the suspicion.
function closeUp() {
  const { objects, boxes } = suspicions[state.at];
  const image = current();
  const all = [...boxes, ...objects.map((key) => image.boxes[key])];
  const low = (i) => Math.min(...all.map((box) => box[i]));
  const high = (i) => Math.max(...all.map((box) => box[i]));
  const least = Math.max(image.width, image.height) / MIN_PART;
  const fits = (side, length) => side / (CONTEXT * Math.max(length, least));
  measure(image);
  const scale = Math.max(view.fitted, Math.min(fits(stage.clientWidth, high(2) - low(0)),
    fits(stage.clientHeight, high(3) - low(1))));
  // The image fills the stage, unless the suspicion would be near an edge of the stage.
  const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
  const center = (i, length, room) => {
    const middle = (low(i) + high(i + 2)) / 2;
    const part = room / scale, half = Math.min(length, part) / 2;
    return clamp(clamp(middle, half, length - half), middle - OFF_CENTER * part,
      middle + OFF_CENTER * part);
  };
  zoomTo(scale, center(0, image.width, stage.clientWidth),
    center(1, image.height, stage.clientHeight));
  // The overview does not cover the suspicion.
  const isLow = view.y + scale * high(3) > 0.7 * stage.clientHeight;
  const isLeft = view.x + scale * low(0) < 0.35 * stage.clientWidth;
  $("overview").classList.toggle("up", isLow && isLeft);
}

// ---- boxes

// The boxes of the shown image: {key, role, label, box}. Roles: "plain" as annotated, "result" of a
// correction, "gone" removed by one, "remove" or "before" if the shown suspicion would remove or
// change it, "proposed" by the shown suspicion.
function boxes() {
  const { at } = state, { image, objects } = suspicions[at];
  const isPending = state.decisions[at] === null;
  const proposed = isPending ? proposals(at) : [];
  const found = keysOf(image).map((key) => {
    const value = valueOf(image, key);
    if (value === REMOVED) return { key, role: "gone", ...annotated(image, key) };
    const role = isPending && objects.includes(Number(key))
      ? (isChange(suspicions[at]) ? "before" : "remove")
      : state.edits[image].has(key) ? "result" : "plain";
    return { key, role, ...value };
  });
  found.push(...proposed.map(([key, value]) => ({ key, role: "proposed", ...value })));
  const { draft } = shown;
  return found.map((box) =>
    draft?.key === box.key && box.role !== "before" ? { ...box, box: draft.box } : box);
}

// Boxes that can be selected; those of the suspicion come first.
function selectable() {
  const order = ["proposed", "remove", "result", "plain"];
  return boxes().filter(({ role }) => order.includes(role) && (shown.others || role !== "plain"))
    .sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
}

const selectedBox = () => selectable().find(({ key }) => key === shown.selected);

function drawMarks() {
  marks.replaceChildren();
  if (shown.image !== suspicions[state.at].image) return; // its picture is not loaded yet
  const image = current();
  marks.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  const all = boxes(), of = (...roles) => all.filter(({ role }) => roles.includes(role));
  if (shown.others) of("plain").forEach(drawBox);
  const marked = ["gone", "result", "before", "remove", "proposed"].flatMap((role) => of(role));
  for (const { box } of marked) rectangle(box, { class: "halo" });
  marked.forEach(drawBox);
  drawArrows(of("before", "remove"), of("proposed"));
  marked.forEach(drawTag);
  const selected = selectedBox();
  if (selected) drawHandles(selected.box);
  if (shown.draft && !shown.draft.key) rectangle(shown.draft.box, { class: "draft" });
}

function drawBox({ key, role, label, box }) {
  const style = `--color: ${classes[label].color}`;
  const isSelected = key === shown.selected && role !== "before";
  if (role === "plain" && isSelected) rectangle(box, { class: "halo" });
  rectangle(box, { class: isSelected ? `${role} selected` : role, style });
  if (role !== "remove" && role !== "gone") return;
  const [x1, y1, x2, y2] = box;
  svg("path", { class: `${role} strike`, d: `M${x1} ${y1}L${x2} ${y2}M${x1} ${y2}L${x2} ${y1}` });
}

// The class of a box: above what is proposed or corrected, below what is removed. The class of an
// annotation that changes is part of the proposal.
function drawTag({ key, role, label, box }) {
  if (role === "before") return;
  const isBelow = ["remove", "gone"].includes(role);
  const before = role === "proposed" && valueOf(shown.image, key);
  const from = before && before.label !== label ? `${className(before.label)} → ` : "";
  const sign = { remove: "✕ ", gone: "✕ ", proposed: from, result: "✓ " }[role];
  const x = Math.max(0, box[0]), y = isBelow ? box[3] : box[1];
  const room = 20 / view.scale;
  const inside = isBelow ? y > current().height - room : y < room;
  const side = isBelow !== inside ? "below" : "above";
  const text = svg("text", { x, y, class: `tag ${role} ${side}` });
  text.textContent = sign + className(label);
}

// From each box that goes to those that come, or between the corners of a box that is moved.
function drawArrows(old, proposed) {
  const middle = ([x1, y1, x2, y2]) => [(x1 + x2) / 2, (y1 + y2) / 2];
  const pairs = old.flatMap(({ box, role }) => proposed.flatMap((other) => role === "before"
    ? [[box.slice(0, 2), other.box.slice(0, 2)], [box.slice(2), other.box.slice(2)]]
    : [[middle(box), middle(other.box)]]));
  for (const [[x1, y1], [x2, y2]] of pairs) {
    const length = Math.hypot(x2 - x1, y2 - y1) * view.scale;
    if (length < MIN_ARROW) continue;
    const tip = 7 / view.scale, angle = Math.atan2(y2 - y1, x2 - x1);
    const side = (turn) =>
      `L${x2 - tip * Math.cos(angle + turn)} ${y2 - tip * Math.sin(angle + turn)}`;
    const d = `M${x1} ${y1}L${x2} ${y2}${side(0.5)}M${x2} ${y2}${side(-0.5)}`;
    svg("path", { class: "halo", d });
    svg("path", { class: "arrow", d });
  }
}

function handles([x1, y1, x2, y2]) {
  const isSmall = Math.min(x2 - x1, y2 - y1) * view.scale < MIN_SIDE;
  return HANDLES.filter(([h, v]) => !isSmall || (h !== 0.5 && v !== 0.5))
    .map(([h, v]) => ({ h, v, x: x1 + h * (x2 - x1), y: y1 + v * (y2 - y1) }));
}

function drawHandles(box) {
  for (const { x, y } of handles(box)) svg("circle", { class: "handle", cx: x, cy: y });
}

// The part of the image that the stage shows.
function drawOverview(image) {
  $("overview").hidden = !zoomed();
  const percent = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  const part = (from, length, total) => [percent(from / total),
    percent(Math.min(1, (from + length) / total) - Math.max(0, from / total))];
  const [left, width] = part(-view.x / view.scale, stage.clientWidth / view.scale, image.width);
  const [top, height] = part(-view.y / view.scale, stage.clientHeight / view.scale, image.height);
  Object.assign($("port").style, { left, top, width, height });
  const { objects, boxes: proposed } = suspicions[state.at];
  const box = proposed[0] ?? image.boxes[objects[0]];
  if (!box || suspicions[state.at].image !== shown.image) return;
  Object.assign($("here").style, {
    left: percent((box[0] + box[2]) / 2 / image.width),
    top: percent((box[1] + box[3]) / 2 / image.height),
  });
}
