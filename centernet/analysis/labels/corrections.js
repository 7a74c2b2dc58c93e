"use strict";
// corrections.json, which Python applies to the dataset, and the copy that the browser keeps.

const STORE = `centernet-labels:${about.dataset}:${about.digest}`;
const MATCH = 0.5; // pixels between equal boxes
let isStored = true; // whether the browser keeps the decisions

// ---- the file

const asJson = ({ label, box }) => ({ class: className(label), box: box.map(rounded) });
const rounded = (value) => Math.round(100 * value) / 100;

function imageCorrections({ split, file_name }, image) {
  const found = { split, file_name, add: [], remove: [], change: [] };
  for (const key of keysOf(image)) {
    if (!state.edits[image].has(key)) continue;
    const before = annotated(image, key), after = valueOf(image, key);
    if (isNew(key)) found.add.push(asJson(after));
    else if (after === REMOVED) found.remove.push(asJson(before));
    else found.change.push({ from: asJson(before), to: asJson(after) });
  }
  return found;
}

function corrections() {
  return {
    version: about.version,
    dataset: about.dataset,
    classes: classes.map(({ name }) => name),
    images: images.map(imageCorrections)
      .filter(({ add, remove, change }) => add.length || remove.length || change.length),
    decisions: suspicions.flatMap((suspicion, i) =>
      state.decisions[i] ? [{ ...description(suspicion), decision: state.decisions[i] }] : []),
  };
}

function description({ image, kind, score, objects, boxes, label }) {
  const { split, file_name } = images[image];
  const from = objects.map((key) => asJson(annotated(image, String(key))));
  return { split, file_name, kind, score, from, to: boxes.map((box) => asJson({ label, box })) };
}

// How many boxes the corrections add, remove and change, and in how many images.
function countChanges() {
  const counts = { add: 0, remove: 0, change: 0, images: 0 };
  for (const image of corrections().images) {
    for (const kind of ["add", "remove", "change"]) counts[kind] += image[kind].length;
    counts.images += 1;
  }
  return counts;
}

// Continue with the content of a file, in one step. Returns what does not belong to this page.
function openCorrections(content) {
  if (content?.version !== about.version || !Array.isArray(content.images)) {
    throw new Error(`it is no corrections.json of version ${about.version}`);
  }
  const step = openStep();
  try {
    const left = replaceAll(step, content);
    closeStep(step);
    return left;
  } catch (error) {
    applyStep(step, false);
    throw error;
  }
}

function replaceAll(step, { images: entries, decisions = [] }) {
  const left = { images: 0, decisions: 0, boxes: 0 };
  images.forEach((_, image) => {
    extend(step, [...state.edits[image].keys()].map((key) => [image, key, UNSET]), []);
  });
  extend(step, [], suspicions.map((_, i) => [i, null]));
  for (const decision of decisions) {
    const i = suspicions.findIndex((suspicion) => isDecisionOf(decision, suspicion));
    if (i < 0) left.decisions += 1;
    else extend(step, [], [[i, decision.decision]]);
  }
  for (const entry of entries) {
    const image = images.findIndex((other) => isImage(entry, other));
    if (image < 0) left.images += 1;
    else openImage(step, entry, image, left);
  }
  return left;
}

const isImage = (entry, { split, file_name }) =>
  entry.split === split && entry.file_name === file_name;

function isDecisionOf(decision, suspicion) {
  const own = description(suspicion);
  const agree = (a, b) => a.length === b.length &&
    a.every((box, i) => box.class === b[i].class && isSame(box.box, b[i].box, MATCH));
  return isImage(decision, own) && decision.kind === own.kind &&
    [ACCEPTED, REJECTED, EDITED].includes(decision.decision) &&
    agree(decision.from, own.from) && agree(decision.to, own.to);
}

function openImage(step, { add, remove, change }, image, left) {
  const free = new Set(images[image].boxes.keys());
  const take = (box) => {
    const { label, box: corners } = asValue(box);
    const key = [...free].find((i) => images[image].labels[i] === label &&
      isSame(images[image].boxes[i], corners, MATCH));
    free.delete(key);
    left.boxes += key === undefined;
    return key === undefined ? [] : [String(key)];
  };
  const edits = remove.flatMap((box) => take(box).map((key) => [image, key, REMOVED]));
  for (const { from, to } of change) {
    edits.push(...take(from).map((key) => [image, key, asValue(to)]));
  }
  extend(step, edits, []);
  for (const box of add) extend(step, [[image, keyOf(image, asValue(box)), asValue(box)]], []);
}

function asValue({ class: name, box }) {
  const label = classes.findIndex((other) => other.name === name);
  if (label < 0) throw new Error(`class ${name} is not one of this page`);
  return { label, box };
}

// A box of an accepted suspicion gets its key, so that the suspicion can be rejected later.
function keyOf(image, { box }) {
  const proposed = suspicions.flatMap((suspicion, i) =>
    suspicion.image === image && isApplied(i) && !isChange(suspicion) ? proposals(i) : []);
  const found = proposed.find(([key, value]) =>
    !state.edits[image].has(key) && overlap(value.box, box) >= SAME_PLACE);
  return found ? found[0] : `d${nextNumber(image)}`;
}

// ---- the browser's copy

function store() {
  const { at, steps, done } = state;
  try {
    localStorage.setItem(STORE, JSON.stringify({ at, steps, done }));
    isStored = true;
  } catch {
    isStored = false;
  }
}

function restore() {
  try {
    const { at, steps, done } = JSON.parse(localStorage.getItem(STORE)) ?? state;
    steps.slice(0, done).forEach((step) => applyStep(step, true));
    Object.assign(state, { at, steps, done });
    localStorage.setItem(STORE, JSON.stringify({ at, steps, done }));
  } catch {
    isStored = false;
  }
}
