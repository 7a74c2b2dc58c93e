"use strict";
// Lines and zones: their points, counts, and the file of `centernet detect --zone`.

// Of supervision and centernet/inference/video/zone_shapes.py: the same proportions and limits.
const SAME_PROPORTIONS = 0.02, MOST_POINTS = 500;

const zones = {
  shapes: [], // {kind: "line" or "zone", name, points: [[x, y], ...], anchor: "center" or ...}
  size: null, // width and height of the picture that the points belong to
  past: [], // earlier shapes and sizes, to undo changes
  draft: null, // the shape that is drawn
  cursor: null, // the point under the pointer, or that of the keyboard
};

// ---- changes

// Change the shapes by a function; it can be undone.
function changeZones(change) {
  zones.past.push({ shapes: structuredClone(zones.shapes), size: zones.size });
  change();
  if (!zones.shapes.length) zones.size = null;
  buildZones();
  refreshPicture();
}

function undoZones() {
  const before = zones.past.pop();
  if (!before) return;
  Object.assign(zones, before);
  buildZones();
  refreshPicture();
}

// A name that no shape of this kind has, as "zone 2".
function freeName(kind) {
  const taken = new Set(zones.shapes.filter((one) => one.kind === kind).map(({ name }) => name));
  let count = 1;
  while (taken.has(`${kind} ${count}`)) count += 1;
  return `${kind} ${count}`;
}

// ---- geometry

// The scale from the shapes' picture to another; null if its proportions differ.
function zoneScale({ width, height }) {
  if (!zones.size) return [1, 1];
  const scale = [width / zones.size[0], height / zones.size[1]];
  return Math.abs(scale[0] / scale[1] - 1) <= SAME_PROPORTIONS ? scale : null;
}

const crossProduct = ([x1, y1], [x2, y2], [x, y]) => (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1);

// Whether two segments have a point in common.
function touch([a, b], [c, d]) {
  const sides = [crossProduct(a, b, c), crossProduct(a, b, d), crossProduct(c, d, a), crossProduct(c, d, b)];
  if (sides[0] * sides[1] < 0 && sides[2] * sides[3] < 0) return true;
  const within = ([s, e], p) => [0, 1].every((i) =>
    Math.min(s[i], e[i]) <= p[i] && p[i] <= Math.max(s[i], e[i]));
  return [[[a, b], c], [[a, b], d], [[c, d], a], [[c, d], b]]
    .some(([segment, point], i) => sides[i] === 0 && within(segment, point));
}

// Whether the outline of a polygon crosses or touches itself.
function crossesItself(points) {
  const count = points.length, side = (i) => [points[i], points[(i + 1) % count]];
  for (let i = 0; i < count; i++) {
    const [before, corner, after] = [points[i], points[(i + 1) % count], points[(i + 2) % count]];
    const back = (before[0] - corner[0]) * (after[0] - corner[0]) + (before[1] - corner[1]) * (after[1] - corner[1]);
    if (crossProduct(corner, before, after) === 0 && back >= 0) return true;
    for (let j = i + 2; j < count; j++) {
      if (j - i < count - 1 && touch(side(i), side(j))) return true;
    }
  }
  return false;
}

function isInside(points, x, y) {
  let inside = false;
  points.forEach(([x1, y1], i) => {
    const [x2, y2] = points[(i + 1) % points.length];
    if ((y1 > y) !== (y2 > y) && x < x1 + ((x2 - x1) * (y - y1)) / (y2 - y1)) inside = !inside;
  });
  return inside;
}

// What is wrong with a shape; empty if nothing is.
function shapeError({ kind, points }) {
  const [least, most] = kind === "line" ? [2, 2] : [3, MOST_POINTS];
  if (points.length < least || points.length > most) {
    return `has ${points.length} points: give ${least === most ? least : `${least} to ${most}`}`;
  }
  if (kind === "line") return String(points[0]) === String(points[1]) ? "has the same point twice" : "";
  return crossesItself(points) ? "crosses itself: set the corners in the order of the outline" : "";
}

// ---- counts

// The shown detections inside of a zone, in a picture {width, height, found}.
function foundInside({ points, anchor }, { found, ...size }) {
  const scale = zoneScale(size);
  if (!scale) return [];
  const scaled = points.map(([x, y]) => [x * scale[0], y * scale[1]]);
  return shown(found).filter(({ box: [left, top, right, bottom] }) =>
    isInside(scaled, (left + right) / 2, anchor === "bottom_center" ? bottom : (top + bottom) / 2));
}

// The key "zones" of the JSON file, as in that of `centernet detect --zone FILE --json`.
function zoneCounts(picture) {
  const polygons = zones.shapes.filter(({ kind }) => kind === "zone");
  if (!polygons.length || !zoneScale(picture)) return {};
  return { zones: Object.fromEntries(polygons.map((zone) => {
    const counts = [...countByClass(foundInside(zone, picture))];
    return [zone.name, { inside: Object.fromEntries(counts.map(([label, n]) => [className(label), n])) }];
  })) };
}

// ---- the file

function zonesAsJson() {
  const entries = (kind) => zones.shapes.filter((one) => one.kind === kind)
    .map(({ name, points, anchor }) => ({ name, points, ...(anchor === "center" ? {} : { anchor }) }));
  const [width, height] = zones.size;
  const parts = { lines: entries("line"), zones: entries("zone"), width, height };
  const list = (rows) => rows.length
    ? `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n ]` : "[]";
  return `{\n "lines": ${list(parts.lines)},\n "zones": ${list(parts.zones)},\n "width": ${width},\n "height": ${height}\n}\n`;
}

// The shapes and the size of a file; throws an Error that says what is wrong.
function parseZones(text, { width, height }) {
  const content = JSON.parse(text);
  const object = Array.isArray(content) ? { zones: content.map((points) => ({ points })) } : content;
  requireKeys(object, ["lines", "zones", "width", "height"], "the file");
  const size = object.width ? [object.width, object.height] : [width, height];
  if (!size.every((side) => Number.isInteger(side) && side > 0)) throw new Error("width or height is wrong");
  const shapes = ["line", "zone"].flatMap((kind) => {
    const list = object[`${kind}s`] ?? [];
    if (!Array.isArray(list)) throw new Error(`${kind}s is no list`);
    return list.map((entry, i) => parseShape(entry, kind, i + 1, size));
  });
  if (!shapes.length) throw new Error("it has neither lines nor zones");
  const titles = shapes.map(({ kind, name }) => `${kind} ${name}`);
  const twice = titles.find((title, i) => titles.indexOf(title) < i);
  if (twice) throw new Error(`${twice}: the name is used twice`);
  return { shapes, size };
}

function parseShape(entry, kind, count, [width, height]) {
  requireKeys(entry, ["name", "points", "anchor"], `${kind} ${count}`);
  const { name = "", anchor = "center" } = entry;
  const title = name || `${kind} ${count}`;
  const isPoint = (point) => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite);
  if (typeof name !== "string") throw new Error(`${kind} ${count}: the name is no text`);
  if (!Array.isArray(entry.points) || !entry.points.every(isPoint)) throw new Error(`${title}: give points as [x, y]`);
  if (!["center", "bottom_center"].includes(anchor)) throw new Error(`${title}: the anchor ${anchor} is unknown`);
  let points = entry.points;
  if (points.length > 3 && String(points[0]) === String(points.at(-1))) points = points.slice(0, -1);
  if (points.flat().every((value) => value <= 1)) points = points.map(([x, y]) => [x * width, y * height]);
  const wrong = shapeError({ kind, points });
  if (wrong) throw new Error(`${title} ${wrong}`);
  const outside = points.find(([x, y]) => x < 0 || y < 0 || x > width || y > height);
  if (outside) throw new Error(`${title}: the point ${outside} is outside of ${formatSize({ width, height })} pixels`);
  return { kind, name: title.replace(/\s+/g, " ").trim(), points, anchor };
}

function requireKeys(object, known, where) {
  if (typeof object !== "object" || object === null) throw new Error(`${where} is no object`);
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown) throw new Error(`${where} has the unknown key ${unknown}`);
}
