"use strict";
// Draw lines and zones on the picture with mouse, finger or keyboard; their list; their painting.

const CLOSE = 12; // distance in CSS pixels at which a click hits the first corner

// ---- drawing

function startDraft(kind) {
  if (!state.picture) return;
  if (!zoneScale(state.picture)) return say($("zones-note").textContent);
  say();
  if (live.running) setRunning(false);
  zones.draft = { kind, points: [] };
  zones.cursor = null;
  canvas.tabIndex = -1;
  canvas.focus({ preventScroll: true }); // so that no button takes the keys
  refreshDraft();
  $("stage").scrollIntoView({ block: "nearest" }); // on phones the buttons are below it
}

function endDraft() {
  $(`draw-${zones.draft.kind}`).focus({ preventScroll: true });
  zones.draft = zones.cursor = null;
  refreshDraft();
}

// Add a point in pixels of the shown picture; whole pixels inside of it.
function addPoint(point) {
  const { draft } = zones, { width, height } = state.picture;
  const [x, y] = [clamp(Math.round(point[0]), 0, width), clamp(Math.round(point[1]), 0, height)];
  const near = (other) => other && Math.hypot(other[0] - x, other[1] - y) * view.scale;
  if (draft.points.length > 2 && near(draft.points[0]) < CLOSE) return finishDraft();
  if (draft.points.length && near(draft.points.at(-1)) < 3) return; // the second click of two
  draft.points.push([x, y]);
  if (draft.kind === "line" && draft.points.length === 2) finishDraft();
  else refreshDraft(`point ${draft.points.length} at ${x}, ${y}`);
}

function removePoint() {
  zones.draft?.points.pop();
  refreshDraft();
}

function finishDraft() {
  const { draft } = zones;
  if (!draft) return;
  const wrong = shapeError(draft);
  if (wrong) return say(`The ${draft.kind} ${wrong}.`);
  const scale = zoneScale(state.picture), name = freeName(draft.kind);
  const points = draft.points.map(([x, y]) => [Math.round(x / scale[0]), Math.round(y / scale[1])]);
  say();
  endDraft();
  changeZones(() => {
    zones.size ??= [state.picture.width, state.picture.height];
    zones.shapes.push({ kind: draft.kind, name, points, anchor: "center" });
  });
  announce(`${name} is drawn`);
}

function refreshDraft(words = "") {
  const { draft } = zones;
  $("draft").hidden = !draft;
  document.body.classList.toggle("drafting", Boolean(draft));
  if (draft) {
    const count = draft.points.length;
    $("draft-text").textContent = draft.kind === "line"
      ? `Click the ${count ? "end" : "start"} of the line`
      : count < 3 ? `Click corner ${count + 1} of the zone` : "Click further corners, or Done";
    $("draft-done").disabled = draft.kind === "line" || count < 3;
    $("draft-back").disabled = !count;
    announce(words || $("draft-text").textContent);
  }
  draw();
}

const toPicture = ([x, y]) => [(x - view.x) / view.scale, (y - view.y) / view.scale];

// Move the cursor of the keyboard, or set, remove and finish; true if the key was used.
function pressInDraft(event) {
  const { key, target } = event;
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    event.preventDefault();
    if (zones.draft) removePoint();
    else undoZones();
    return true;
  }
  if (!zones.draft || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (target.matches("button, input, summary, a") && [" ", "Enter"].includes(key)) return false;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (way) moveCursor(way, event.shiftKey);
  else if (key === " ") addPoint(zones.cursor ?? pictureCenter());
  else if (key === "Enter") finishDraft();
  else if (key === "Backspace") removePoint();
  else if (key === "Escape") endDraft();
  else return false;
  event.preventDefault();
  return true;
}

const pictureCenter = () => [state.picture.width / 2, state.picture.height / 2];

function moveCursor([x, y], fine) {
  const { width, height } = state.picture, length = fine ? 1 : Math.max(1, Math.max(width, height) / 50);
  const [px, py] = zones.cursor ?? pictureCenter();
  zones.cursor = [clamp(Math.round(px + x * length), 0, width), clamp(Math.round(py + y * length), 0, height)];
  announce(`${zones.cursor[0]}, ${zones.cursor[1]}`);
  draw();
}

// ---- the list

function buildZones() {
  $("zones").replaceChildren(...zones.shapes.map((shape) => {
    const input = make("input", {
      type: "text", value: shape.name, ariaLabel: `name of ${shape.name}`, maxLength: 60,
      onchange: () => rename(shape, input),
    });
    const turn = make("button", {
      type: "button", textContent: "⇄", title: "exchange in and out", ariaLabel: `exchange in and out of ${shape.name}`,
      onclick: () => changeZones(() => shape.points.reverse()),
    });
    const remove = make("button", {
      type: "button", textContent: "✕", ariaLabel: `delete ${shape.name}`,
      onclick: () => changeZones(() => { zones.shapes = zones.shapes.filter((one) => one !== shape); }),
    });
    return make("li", {}, input, ...(shape.kind === "line" ? [turn] : [make("span")]), remove,
      make("output", { className: "quiet" }));
  }));
}

function rename(shape, input) {
  const name = input.value.replace(/\s+/g, " ").trim();
  const taken = zones.shapes.some((one) => one !== shape && one.kind === shape.kind && one.name === name);
  if (!name || taken) {
    input.value = shape.name;
    return say(taken ? `The name ${name} is used twice: choose another.` : "Give a name.");
  }
  changeZones(() => { shape.name = name; });
}

// After a change of the picture, its detections or the shapes.
function refreshZones() {
  const { picture } = state, scale = picture && zoneScale(picture);
  zones.shapes.forEach((shape, i) => {
    const inside = scale ? foundInside(shape, picture) : [];
    const words = shape.kind === "line" ? "counted by centernet detect" : `inside: ${inWords(inside)}`;
    $("zones").children[i].querySelector("output").textContent = words;
  });
  const hasLine = zones.shapes.some(({ kind }) => kind === "line");
  $("zones-note").textContent = picture && !scale
    ? `They are drawn on pictures of ${zones.size.join("x")} pixels, and this one has other proportions.`
    : hasLine ? "This page does not track objects: save the file, and run centernet detect VIDEO --zone zones.json."
    : zones.shapes.length ? "Saved files work with centernet detect --zone zones.json." : "Count the objects in parts of the picture.";
  $("draw-zone").disabled = $("draw-line").disabled = !scale;
  $("save-zones").disabled = !zones.shapes.length;
  $("undo-zones").disabled = !zones.past.length;
}

async function openZones(file) {
  try {
    const { shapes, size } = parseZones(await file.text(), state.picture);
    changeZones(() => Object.assign(zones, { shapes, size }));
    say();
  } catch (error) {
    say(`${file.name}: ${error.message}`);
  }
}

function listenToZones() {
  $("draw-zone").onclick = () => startDraft("zone");
  $("draw-line").onclick = () => startDraft("line");
  $("undo-zones").onclick = undoZones;
  $("save-zones").onclick = () => download("zones.json", zonesAsJson(), "application/json");
  $("open-zones").onclick = () => $("zones-file").click();
  $("zones-file").onchange = () => {
    openZones($("zones-file").files[0]);
    $("zones-file").value = "";
  };
  $("draft-back").onclick = removePoint;
  $("draft-done").onclick = finishDraft;
  $("draft-cancel").onclick = endDraft;
  let start = null; // of a click; a drag moves a zoomed picture
  canvas.addEventListener("pointerdown", (event) => {
    start = event.isPrimary && event.button === 0 ? placeOf(event) : null;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!zones.draft) return;
    zones.cursor = toPicture(placeOf(event));
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!zones.draft || !start) return;
    const [x, y] = placeOf(event);
    if (Math.hypot(x - start[0], y - start[1]) < 6) addPoint(toPicture([x, y]));
  });
}

// ---- painting

// Paint the shapes, and that which is drawn. at, unit: as for paint().
function paintZones(context, at, unit) {
  const scale = zoneScale(state.picture);
  const place = ([x, y]) => [at.x + at.scale * x, at.y + at.scale * y];
  context.lineJoin = context.lineCap = "round";
  if (scale) {
    for (const shape of zones.shapes) {
      const points = shape.points.map(([x, y]) => place([x * scale[0], y * scale[1]]));
      paintShape(context, shape, points, unit);
    }
  }
  if (!zones.draft) return;
  const cursor = zones.cursor ?? pictureCenter();
  const points = [...zones.draft.points, cursor].map(place);
  strokePath(context, points, unit, false);
  for (const point of points) paintDot(context, point, unit);
}

function paintShape(context, shape, points, unit) {
  const isZone = shape.kind === "zone";
  if (isZone) {
    context.fillStyle = "#fff3";
    tracePath(context, points, true);
    context.fill();
  }
  strokePath(context, points, unit, isZone);
  const count = isZone ? ` ${foundInside(shape, state.picture).length}` : "";
  const top = points.reduce((best, point) => point[1] < best[1] ? point : best);
  if (isZone) return paintName(context, shape.name + count, top, unit);
  const [[x1, y1], [x2, y2]] = points, length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const [nx, ny] = [(y2 - y1) / length, (x1 - x2) / length]; // towards the side "in"
  const tip = [x + 26 * unit * nx, y + 26 * unit * ny];
  const barbs = [-1, 1].map((side) => [tip[0] - 8 * unit * (nx + side * ny), tip[1] - 8 * unit * (ny - side * nx)]);
  strokePath(context, [[x, y], tip], unit, false);
  strokePath(context, [barbs[0], tip, barbs[1]], unit, false);
  paintName(context, "in", [tip[0] + 20 * unit * nx, tip[1] + 20 * unit * ny + 10 * unit], unit);
  for (const point of points) paintDot(context, point, unit);
  paintName(context, shape.name, points[0], unit);
}

function tracePath(context, points, closed) {
  context.beginPath();
  points.forEach((point, i) => i ? context.lineTo(...point) : context.moveTo(...point));
  if (closed) context.closePath();
}

function strokePath(context, points, unit, closed) {
  for (const [strokeStyle, lineWidth] of [["#000c", 5 * unit], ["#fff", 2.5 * unit]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    tracePath(context, points, closed);
    context.stroke();
  }
}

function paintDot(context, [x, y], unit) {
  for (const [fillStyle, radius] of [["#000c", 6 * unit], ["#fff", 4 * unit]]) {
    context.fillStyle = fillStyle;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
}

// A name above a point, inside of the canvas.
function paintName(context, text, [x, y], unit) {
  context.font = `600 ${LETTERS * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const [width, height] = [context.measureText(text).width + 12 * unit, 20 * unit];
  const left = clamp(x - width / 2, 0, Math.max(0, context.canvas.width - width));
  const top = clamp(y - height - 6 * unit, 0, Math.max(0, context.canvas.height - height));
  context.fillStyle = "#101014d0";
  context.beginPath();
  context.roundRect(left, top, width, height, 4 * unit);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, left + 6 * unit, top + height / 2);
}
