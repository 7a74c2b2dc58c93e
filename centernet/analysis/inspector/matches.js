"use strict";
// Detected, missed and false at the current score thresholds, with descriptions. Matches and error
// types are computed in Python (error_types.py); only the thresholds are applied here.

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
  error: null, // list only images with this error
};

const BELOW = "score below threshold";
const IGNORED = "in an ignore region";

function limit(label) {
  return state.best ? about.best[label] : state.threshold;
}

// Objects and boxes of an image, of the selected classes: {kind, index, label, box, error ...}.
// An object is "found" or "missed"; a box is "right", "false", "ignored", or "plain" in an image
// without annotations. Boxes below the threshold are "faint".
function judge(image) {
  const objects = (image.objects ?? []).map((object, index) => {
    const low = object.match !== undefined &&
      image.peaks[object.match].score < limit(object.label);
    const error = low ? BELOW : object.error;
    return { ...object, index, error, kind: error ? "missed" : "found" };
  });
  const boxes = image.peaks.map((peak, index) => {
    const kind = !image.objects ? "plain" : peak.match !== undefined ? "right" :
      peak.error === IGNORED ? "ignored" : "false";
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

// The number of errors, then their size, as ImageAnalysis.error_score in Python.
function errorScore(image) {
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
const sides = ([left, top, right, bottom]) =>
  `${Math.round(right - left)}x${Math.round(bottom - top)} px`;
const center = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = width > 0 && height > 0 ? width * height : 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return both / (area(a) + area(b) - both) || 0;
}

// Describe why an object is missed.
function whyMissed(image, object) {
  const peak = image.peaks[object.match ?? object.peak];
  const score = peak && number(peak.score);
  const sentence = {
    [BELOW]: () => `its peak has score ${score}, the threshold is ${number(limit(object.label))}`,
    "center collision": () =>
      "its center is in the same or a neighboring cell as that of another object " +
      `(${className(image.objects[object.object].label)}), which is detected; ` +
      "only one of the two can be a peak",
    "suppressed by a stronger peak": () =>
      `the heatmap is ${number(object.heat)} at its center, but rises to a peak of ${score} ` +
      (object.object === undefined ? "nearby" : `that detects another ${className(object.label)}`),
    "no peak": () => `the heatmap is ${number(object.heat)} at its center`,
    "wrong class": () => `detected as ${className(peak.label)} with score ${score}`,
    "poor size": () => poorBox(peak, object, score),
    "poor offset": () => poorBox(peak, object, score),
  }[object.error]();
  const low = peak && object.error !== BELOW && peak.score < limit(peak.label);
  return sentence + (low ? "; that score is below the threshold, too" : "");
}

// Describe why a box is a false positive.
function whyFalse(image, box) {
  const object = image.objects[box.object];
  return {
    [IGNORED]: () => "it counts neither as right nor as wrong",
    duplicate: () => `a box with a higher score detects this ${className(box.label)}`,
    "wrong class": () => `the annotated object here is a ${className(object.label)}`,
    "poor size": () => poorBox(box, object),
    "poor offset": () => poorBox(box, object),
    background: () => `no ${className(box.label)} is annotated here`,
  }[box.error]();
}

function poorBox(box, object, score) {
  const away = Math.hypot(...center(box.box).map((x, axis) => x - center(object.box)[axis]));
  const fault = box.error === "poor size" || object.error === "poor size"
    ? `is ${sides(box.box)}, the object is ${sides(object.box)}`
    : `is ${Math.round(away)} px off`;
  return `${score ? `the box with score ${score}` : "it"} ${fault}; ` +
    `IoU ${number(iou(box.box, object.box))}, at least ${number(about.iou)} is needed`;
}

// Title and description of an object or a box.
function describe(image, thing) {
  const name = className(thing.label);
  if (thing.kind === "missed") return [`Missed ${name}: ${thing.error}`, whyMissed(image, thing)];
  if (thing.kind === "found") {
    return [`${name}, annotated`, `detected with score ${number(image.peaks[thing.match].score)}`];
  }
  const [x, y] = atPixel(image, thing.cell).map(Math.round);
  const place = `peak at (${x}, ${y}), cell (${thing.cell.join(", ")})`;
  const title = `${name} ${number(thing.score)}`;
  if (thing.kind === "false") {
    return [`False positive ${title}: ${thing.error}`, `${whyFalse(image, thing)}; ${place}`];
  }
  if (thing.kind === "ignored") return [`${title}: ${thing.error}`, place];
  return [title, place];
}

// The center of a cell in image pixels.
function atPixel(image, [column, row]) {
  const [scaleX, shiftX, scaleY, shiftY] = image.matrix;
  return [scaleX * (column + 0.5) + shiftX, scaleY * (row + 0.5) + shiftY];
}
