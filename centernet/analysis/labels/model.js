"use strict";
// Decisions about suspicions, edits of boxes, undo and redo. EditedImage in corrections.py combines
// accepted suspicions in the same way.

const about = JSON.parse($("about").textContent);
const { images, suspicions, classes } = about;
const ACCEPTED = "accepted", REJECTED = "rejected", EDITED = "edited";
// An edit of a box is a value {label, box}, or one of these. Keys of boxes: "7" is annotation 7,
// "s3.0" the first box that suspicion 3 proposes, "d2" a drawn box.
const UNSET = false; // as annotated; a new box does not exist
const REMOVED = null; // an annotation
const SAME_BOX = 0.02; // pixels
const SAME_PLACE = 0.4; // IoU of a drawn box and the proposal that it replaces

const state = {
  at: 0, // shown suspicion
  steps: [],
  done: 0, // steps after these are undone
  edits: images.map(() => new Map()),
  decisions: suspicions.map(() => null),
};

const isSame = (a, b, tolerance = SAME_BOX) => a.every((v, i) => Math.abs(v - b[i]) <= tolerance);
const isNew = (key) => !/^\d/.test(key);
const className = (label) => classes[label].name;

function annotated(image, key) {
  if (isNew(key)) return UNSET;
  return { label: images[image].labels[key], box: images[image].boxes[key] };
}

function valueOf(image, key) {
  const edits = state.edits[image];
  return edits.has(key) ? edits.get(key) : annotated(image, key);
}

// Keys of all boxes of an image, also of removed ones.
function keysOf(image) {
  const added = [...state.edits[image].keys()].filter(isNew);
  return [...images[image].boxes.keys()].map(String).concat(added);
}

// ---- suspicions

// Whether one box replaces one annotation.
const isChange = ({ objects, boxes }) => objects.length === 1 && boxes.length === 1;

// The boxes that a suspicion proposes: [key, value].
function proposals(index) {
  const { image, objects, boxes, label } = suspicions[index];
  if (!isChange(suspicions[index])) {
    return boxes.map((box, i) => [`s${index}.${i}`, { label, box }]);
  }
  const key = String(objects[0]);
  const before = annotated(image, key), now = valueOf(image, key);
  if (now === REMOVED) return [];
  return [[key, {
    label: label === before.label ? now.label : label,
    box: isSame(boxes[0], before.box) ? now.box : boxes[0],
  }]];
}

// The edits of accepting a suspicion: [image, key, value].
function acceptance(index) {
  const suspicion = suspicions[index], { image } = suspicion;
  const objects = suspicion.objects.map(String);
  const left = objects.filter((key) => valueOf(image, key) !== REMOVED);
  if (objects.length && !left.length) return []; // removed by other corrections
  const removed = isChange(suspicion) ? [] : left.map((key) => [image, key, REMOVED]);
  return [...removed, ...proposals(index).map(([key, value]) => [image, key, value])];
}

const ownKeys = (index) =>
  new Set([...suspicions[index].objects.map(String), ...proposals(index).map(([key]) => key)]);
const isApplied = (index) => [ACCEPTED, EDITED].includes(state.decisions[index]);

// ---- steps

const openStep = () => ({ at: state.at, edits: [], decisions: [] });

// Add edits [image, key, value] and decisions [suspicion, decision] to a step, and apply them.
function extend(step, edits, decisions) {
  const part = {
    edits: edits.map(([image, key, after]) => {
      const map = state.edits[image];
      return [image, key, map.has(key) ? map.get(key) : UNSET, normalized(image, key, after)];
    }),
    decisions: decisions.map(([index, after]) => [index, state.decisions[index], after]),
  };
  applyStep(part, true);
  step.edits.push(...part.edits);
  step.decisions.push(...part.decisions);
}

// An annotation that is as it was is not edited.
function normalized(image, key, value) {
  const before = annotated(image, key);
  const equal = value && before && value.label === before.label && isSame(value.box, before.box);
  return equal ? UNSET : value;
}

function closeStep(step) {
  state.steps.splice(state.done, Infinity, step);
  state.done = state.steps.length;
}

function perform(edits, decisions = []) {
  const step = openStep();
  extend(step, edits, decisions);
  closeStep(step);
}

function applyStep({ edits, decisions }, forward) {
  for (const [image, key, before, after] of forward ? edits : edits.toReversed()) {
    const value = forward ? after : before;
    if (value === UNSET) state.edits[image].delete(key);
    else state.edits[image].set(key, value);
  }
  for (const [index, before, after] of forward ? decisions : decisions.toReversed()) {
    state.decisions[index] = forward ? after : before;
  }
}

// Returns the step that was undone, if any.
function undo() {
  if (!state.done) return null;
  const step = state.steps[--state.done];
  applyStep(step, false);
  return step;
}

function redo() {
  if (state.done === state.steps.length) return null;
  const step = state.steps[state.done++];
  applyStep(step, true);
  return step;
}

// ---- what a person does

function accept(index) {
  if (!isApplied(index)) perform(acceptance(index), [[index, ACCEPTED]]);
}

function reject(index) {
  if (state.decisions[index] === REJECTED) return;
  if (!isApplied(index)) return perform([], [[index, REJECTED]]);
  const step = openStep();
  extend(step, reversal(index), [[index, REJECTED]]);
  // Other corrections of the same annotations remain.
  const { image, objects } = suspicions[index];
  suspicions.forEach((other, i) => {
    const shared = other.image === image && other.objects.some((key) => objects.includes(key));
    if (shared && isApplied(i)) extend(step, acceptance(i), []);
  });
  closeStep(step);
}

const reversal = (index) =>
  [...ownKeys(index), ...suspicions[index].boxes.map((_, i) => `s${index}.${i}`)]
    .map((key) => [suspicions[index].image, key, UNSET]);

// Returns how many are accepted, in one step.
function acceptAll(indices) {
  const step = openStep();
  for (const index of indices) extend(step, acceptance(index), [[index, ACCEPTED]]);
  if (indices.length) closeStep(step);
}

// Change or remove a box of the shown image. An edit of a box that the shown suspicion proposes
// accepts the suspicion.
function edit(key, value) {
  const { at } = state, { image } = suspicions[at];
  const isPending = state.decisions[at] === null;
  if (isPending && proposals(at).some(([own]) => own === key)) {
    const edits = acceptance(at).filter(([, own]) => own !== key);
    perform([...edits, [image, key, value]], [[at, EDITED]]);
  } else perform([[image, key, value]], ownKeys(at).has(key) ? [[at, EDITED]] : []);
}

const removalOf = (key) => isNew(key) ? UNSET : REMOVED;

// Add a box; it replaces the proposal at the same place. Returns its key.
function addBox(value) {
  const { at } = state, { image } = suspicions[at];
  const near = state.decisions[at] === null &&
    proposals(at).find(([, { box }]) => overlap(box, value.box) >= SAME_PLACE);
  if (near) {
    edit(near[0], value);
    return near[0];
  }
  const key = `d${nextNumber(image)}`;
  perform([[image, key, value]]);
  return key;
}

function nextNumber(image) {
  const numbers = [...state.edits[image].keys()].filter((key) => key[0] === "d")
    .map((key) => Number(key.slice(1)));
  return Math.max(0, ...numbers) + 1;
}

function overlap(a, b) {
  const side = (i) => Math.max(0, Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i]));
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  const shared = side(0) * side(1);
  return shared / (area(a) + area(b) - shared);
}
