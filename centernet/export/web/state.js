"use strict";
// What the page shows, and which detections are shown: score thresholds and classes.

const preset = settings.classes.map(({ threshold }) => threshold);

const state = {
  thresholds: [...preset], // by label
  classes: new Set(preset.keys()), // labels that are switched on
  heat: settings.has_heatmaps,
  opacity: 0.8,
  boxes: true,
  all: false, // also list classes that are not in the picture
  items: [], // the images of this session
  item: null, // the one that is shown
  picture: null, // {name, width, height, found, heat, bitmap, ms}: an image or a video frame
  lit: null, // index of the detection that is highlighted
};

const className = (label) => settings.classes[label]?.name ?? String(label);
const classColor = (label) => settings.classes[label]?.color ?? "#fff";

const formatSize = ({ width, height }) => `${width}x${height}`; // in pixels

const isShown = ({ label, score }) => state.classes.has(label) && score >= state.thresholds[label];
const shown = (found) => found.filter(isShown);

// The number of detections by label.
function countByClass(found) {
  const counts = new Map();
  for (const { label } of found) counts.set(label, (counts.get(label) ?? 0) + 1);
  return new Map([...counts].sort((a, b) => a[0] - b[0]));
}

// As "3 RBC, 1 WBC".
function inWords(found) {
  const counts = [...countByClass(found)];
  return counts.map(([label, count]) => `${count} ${className(label)}`).join(", ") || "nothing";
}

const isPreset = () => state.thresholds.every((threshold, label) => threshold === preset[label]);
const oneThreshold = () => new Set(state.thresholds).size === 1;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
