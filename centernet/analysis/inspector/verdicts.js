"use strict";
// What is found, missed and false at the thresholds of the moment, and the words for it. That a
// peak finds an object, or why not, was worked out beforehand (reasons.py): only the comparison
// with the threshold is left to do.

const about = JSON.parse(document.getElementById("about").textContent);
const annotated = about.images.some((image) => image.objects);

const state = {
  image: 0,
  layer: "prediction",
  threshold: typeof about.threshold === "number" ? about.threshold : 0.3,
  best: about.threshold === "best",
  classes: new Set(about.classes.keys()),
  boxes: true,
  truth: true,
  peaks: true,
  sharp: false,
  reason: null, // only images with this one are listed
};

const BELOW = "below threshold";
const IGNORED = "in an ignore region";

function limit(label) {
  return state.best ? about.best[label] : state.threshold;
}

// Objects and boxes of an image, of the classes that are on: {kind, index, label, box, reason ...}.
// An object is "found" or "missed"; a box is "right", "false", "ignored", or "plain" where nothing
// is annotated.
function judge(image) {
  const objects = (image.objects ?? []).map((object, index) => {
    const low = object.match !== undefined &&
      image.peaks[object.match].score < limit(object.label);
    const reason = low ? BELOW : object.reason;
    return { ...object, index, reason, kind: reason ? "missed" : "found" };
  });
  const boxes = image.peaks.map((peak, index) => {
    const kind = !image.objects ? "plain" : peak.match !== undefined ? "right" :
      peak.reason === IGNORED ? "ignored" : "false";
    return { ...peak, index, kind };
  });
  const on = (thing) => state.classes.has(thing.label);
  const above = (box) => on(box) && box.score >= limit(box.label);
  return {
    objects: objects.filter(on),
    boxes: boxes.filter(above),
    faint: boxes.filter((box) => on(box) && !above(box)),
  };
}

function problems(image) {
  const { objects, boxes } = judge(image);
  return [
    ...objects.filter((object) => object.kind === "missed"),
    ...boxes.filter((box) => box.kind === "false"),
  ];
}

// How badly an image went: things missed and false, then by how far.
function badness(image) {
  const { objects, boxes } = judge(image);
  let sum = 0;
  for (const object of objects) {
    const score = object.match === undefined ? 0 : image.peaks[object.match].score;
    sum += (object.kind === "missed") + 0.001 * (1 - score);
  }
  for (const box of boxes) if (box.kind === "false") sum += 1 + 0.001 * box.score;
  return sum;
}

const className = (label) => about.classes[label]?.name ?? "any class";
const number = (value) => value.toFixed(2);
const plural = (count, noun, more = noun + "s") => `${count} ${count === 1 ? noun : more}`;
const sides = ([left, top, right, bottom]) =>
  `${Math.round(right - left)}×${Math.round(bottom - top)} px`;
const center = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = width > 0 && height > 0 ? width * height : 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return both / (area(a) + area(b) - both) || 0;
}

// Why an object is missed, in a sentence.
function whyMissed(image, object) {
  const peak = image.peaks[object.match ?? object.peak];
  const score = peak && number(peak.score);
  const sentence = {
    [BELOW]: () => `its peak scores ${score}, the threshold is ${number(limit(object.label))}`,
    "collided with another centre": () =>
      `its centre's cell touches that of another object (${className(image.objects[object.object].label)}), which is found; ` +
      "only one of the two can be a peak",
    "suppressed by a stronger neighbouring peak": () =>
      `it is warm at its centre (${number(object.heat)}), but the heat rises on to a peak of ${score} ` +
      (object.object === undefined ? "nearby" : `that finds another ${className(object.label)}`),
    "no peak at all": () => `the heat at its centre is ${number(object.heat)}`,
    "wrong class": () => `it is seen as ${className(peak.label)}, score ${score}`,
    "poor size": () => poorly(peak, object, score),
    "poor offset": () => poorly(peak, object, score),
  }[object.reason]();
  const low = peak && object.reason !== BELOW && peak.score < limit(peak.label);
  return sentence + (low ? "; that is below the threshold, too" : "");
}

// Why a box is false, in a sentence.
function whyFalse(image, box) {
  const object = image.objects[box.object];
  return {
    [IGNORED]: () => "it counts neither way",
    duplicate: () => `a better box finds this ${className(box.label)} already`,
    "wrong class": () => `a ${className(object.label)} is annotated here`,
    "poor size": () => poorly(box, object),
    "poor offset": () => poorly(box, object),
    background: () => `no ${className(box.label)} is annotated here`,
  }[box.reason]();
}

function poorly(box, object, score) {
  const away = Math.hypot(...center(box.box).map((x, axis) => x - center(object.box)[axis]));
  const fault = box.reason === "poor size" || object.reason === "poor size"
    ? `is ${sides(box.box)}, the object ${sides(object.box)}`
    : `lies ${Math.round(away)} px off`;
  return `${score ? `the box of a peak of ${score}` : "it"} ${fault}; ` +
    `they overlap by ${number(overlap(box.box, object.box))}, not ${number(about.iou)}`;
}

// What to say about a thing in a picture: a title and a sentence.
function describe(image, thing) {
  const name = className(thing.label);
  if (thing.kind === "missed") return [`Missed ${name}: ${thing.reason}`, whyMissed(image, thing)];
  if (thing.kind === "found") {
    return [`${name}, annotated`, `found with score ${number(image.peaks[thing.match].score)}`];
  }
  const [x, y] = atPixel(image, thing.cell).map(Math.round);
  const place = `peak at (${x}, ${y}), cell (${thing.cell.join(", ")})`;
  const title = `${name} ${number(thing.score)}`;
  if (thing.kind === "false") {
    return [`False ${title}: ${thing.reason}`, `${whyFalse(image, thing)}; ${place}`];
  }
  if (thing.kind === "ignored") return [`${title}: ${thing.reason}`, place];
  return [title, place];
}

// The centre of a cell in pixels of the image.
function atPixel(image, [column, row]) {
  const [scaleX, shiftX, scaleY, shiftY] = image.matrix;
  return [scaleX * (column + 0.5) + shiftX, scaleY * (row + 0.5) + shiftY];
}
