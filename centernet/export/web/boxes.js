"use strict";
// Boxes and labels on the picture. Small boxes are dots; a label covers neither labels nor other
// objects, or it is left out, the best first. The rules and numbers are those of
// centernet/inference/drawing.py and label_layout.py.

const LETTERS = 12; // height of letters; smaller boxes are dots
const MANY_BOXES = 100; // more boxes have thinner lines
const FEW_BOXES = 20; // up to this number, a label may cover the middle of another box
const MAX_COVERED = 0.15; // of the picture, by all labels together
const CELL = 3; // resolution of the covered area

/* Paint boxes, the best on top, and their labels.
   boxes: detections, the best first. lit: the one to highlight, if any.
   at: {scale, x, y} from image pixels to pixels of the canvas.
   unit: width of a line, in pixels of the canvas.
   frame: left, top, right and bottom of the visible part of the picture. */
function paintBoxes(context, boxes, lit, at, unit, frame) {
  const placed = boxes.map((one) => ({ one, box: toCanvas(one.box, at) }))
    .filter(({ box }) => box[2] >= frame[0] && box[0] <= frame[2] && box[3] >= frame[1] && box[1] <= frame[3]);
  const line = placed.length > MANY_BOXES ? unit / 2 : unit;
  context.font = `600 ${LETTERS * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const { one, box } of [...placed].reverse()) paintBox(context, one, box, line, unit);
  const plates = placeLabels(context, placed, unit, frame);
  for (const plate of plates.reverse()) if (plate.one !== lit) paintLabel(context, plate, unit);
  const found = placed.find(({ one }) => one === lit);
  if (!found) return;
  paintBox(context, lit, found.box, 2 * unit, unit);
  const size = plateSize(context, labelTexts(lit)[0], unit);
  const place = candidates(found.box, size, frame, unit)[0];
  paintLabel(context, { one: lit, text: labelTexts(lit)[0], place }, unit);
}

const toCanvas = ([left, top, right, bottom], { scale, x, y }) =>
  [x + scale * left, y + scale * top, x + scale * right, y + scale * bottom];

function paintBox(context, { label }, [left, top, right, bottom], line, unit) {
  const color = classColor(label);
  if (Math.max(right - left, bottom - top) < LETTERS * unit) {
    for (const [fill, radius] of [["#000a", 3.5 * unit], [color, 2.5 * unit]]) {
      context.fillStyle = fill;
      context.beginPath();
      context.arc((left + right) / 2, (top + bottom) / 2, radius, 0, 2 * Math.PI);
      context.fill();
    }
    return;
  }
  for (const [stroke, width] of [["#000a", 4 * line], [color, 2 * line]]) {
    Object.assign(context, { strokeStyle: stroke, lineWidth: width, lineJoin: "round" });
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

// ---- labels

// Texts of a label, shorter ones for narrow boxes: class and score, class, number in the table.
function labelTexts({ label, score, row }) {
  const name = className(label).replace(/\s+/g, " ");
  return [`${name} ${number(score)}`, name, String(row)];
}

const lengths = new Map(); // of texts, by font and text
const plateSize = (context, text, unit) => {
  const key = `${context.font} ${text}`;
  if (!lengths.has(key)) lengths.set(key, context.measureText(text).width);
  return [lengths.get(key) + 8 * unit, 17 * unit];
};

// The labels that have a place: {one, text, place}, the best first.
function placeLabels(context, placed, unit, frame) {
  const labels = coveredArea(frame, CELL * unit), middles = coveredArea(frame, CELL * unit);
  for (const { box: [left, top, right, bottom] } of placed) {
    const [x, y] = [(right - left) / 4, (bottom - top) / 4];
    middles.add([left + x, top + y, right - x, bottom - y]);
  }
  let room = MAX_COVERED * (frame[2] - frame[0]) * (frame[3] - frame[1]);
  const plates = [];
  for (const { one, box } of placed) {
    const texts = labelTexts(one).slice(0, placed.length > MANY_BOXES ? 2 : 3); // few numbers help
    const width = box[2] - box[0];
    const limits = [width, Math.max(width, 76 * unit), Infinity]; // a name may be wider than its box
    const sizes = texts.map((text) => plateSize(context, text, unit));
    const chosen = sizes.findIndex((size, i) => size[0] <= limits[i]);
    const area = chosen < 0 ? Infinity : sizes[chosen][0] * sizes[chosen][1];
    if (area > room && (plates.length || chosen < 0)) continue;
    const free = candidates(box, sizes[chosen], frame, unit).filter((place) => !labels.touches(place));
    const place = free.find((one) => !middles.touches(one)) ??
      (placed.length <= FEW_BOXES ? free[0] : undefined);
    if (!place) continue;
    labels.add(place);
    room -= area;
    plates.push({ one, text: texts[chosen], place });
  }
  return plates;
}

// The places for a label, the preferred one first, inside the frame.
function candidates([left, top, right, bottom], [width, height], frame, unit) {
  const [above, below] = [top - height - unit, bottom + unit];
  return [
    [left - unit, above], [left - unit, below], [right - width, above], [right - width, below],
    [right + unit, top], [left - width - unit, top], [left - unit, top + unit], [left - unit, bottom - height],
  ].map(([x, y]) => {
    const start = clamp(x, frame[0], Math.max(frame[0], frame[2] - width));
    const line = clamp(y, frame[1], Math.max(frame[1], frame[3] - height));
    return [start, line, start + width, line + height];
  });
}

function paintLabel(context, { one, text, place: [left, top, right, bottom] }, unit) {
  context.fillStyle = classColor(one.label);
  context.beginPath();
  context.roundRect(left, top, right - left, bottom - top, 3 * unit);
  context.fill();
  context.fillStyle = "#000";
  context.fillText(text, left + 4 * unit, (top + bottom) / 2);
}

// The part of a frame that is covered, in cells.
function coveredArea([x, y, right, bottom], cell) {
  const [columns, rows] = [Math.ceil((right - x) / cell) + 1, Math.ceil((bottom - y) / cell) + 1];
  const cells = new Uint8Array(columns * rows);
  const visit = (place, act) => {
    const column = (at) => clamp(Math.floor((at - x) / cell), 0, columns - 1);
    const row = (at) => clamp(Math.floor((at - y) / cell), 0, rows - 1);
    const [first, last] = [column(place[0]), column(place[2]) + 1];
    for (let i = row(place[1]); i <= row(place[3]); i++) {
      if (act(i * columns + first, i * columns + last)) return true;
    }
    return false;
  };
  return {
    add: (place) => visit(place, (from, to) => void cells.fill(1, from, to)),
    touches: (place) => visit(place, (from, to) => cells.subarray(from, to).includes(1)),
  };
}
