"use strict";
// Resize pixels as OpenCV does: INTER_LINEAR, and INTER_AREA where an image shrinks to less than
// half. A canvas would filter differently, and the scores of the detections would change.

// Rows of RGBA pixels, read in strips, so that a very large image is never in memory twice.
class PixelRows {
  // `read(top, count)` returns the RGBA values of `count` rows.
  constructor(width, height, read) {
    Object.assign(this, { width, height, read, first: 0, last: 0, data: null });
    this.strip = Math.max(1, Math.min(height, Math.floor((16 << 20) / width)));
  }

  // Offset in `data` of a row.
  seek(row) {
    if (row < this.first || row >= this.last) {
      this.first = Math.min(row, this.height - this.strip);
      this.last = this.first + this.strip;
      this.data = this.read(this.first, this.strip);
    }
    return (row - this.first) * this.width * 4;
  }
}

// Rounds halves to even, as Python and OpenCV do.
function roundEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/* Resize a part of an image.
   rows: the PixelRows of the image.
   part: {left, top, width, height} in pixels of the image.
   width, height: of the result.
   Returns RGB values, (height, width, 3). */
function resize(rows, part, width, height) {
  const out = new Uint8Array(3 * width * height);
  const scaleX = part.width / width, scaleY = part.height / height;
  const shrinks = height < Math.floor(part.height / 2) || width < Math.floor(part.width / 2);
  const areal = (shrinks && scaleX >= 1 && scaleY >= 1) || (scaleX === 2 && scaleY === 2);
  if (part.width === width && part.height === height) copyPixels(rows, part, out);
  else if (areal) resizeArea(rows, part, width, height, out);
  else resizeLinear(rows, part, width, height, out);
  return out;
}

function copyPixels(rows, { left, top, width, height }, out) {
  for (let y = 0, to = 0; y < height; y++) {
    let from = rows.seek(top + y) + 4 * left;
    const { data } = rows;
    for (let x = 0; x < width; x++, from += 4) {
      out[to++] = data[from];
      out[to++] = data[from + 1];
      out[to++] = data[from + 2];
    }
  }
}

// ---- INTER_LINEAR, with OpenCV's fixed-point weights of 11 bits

const WEIGHT = 2048;

// The two source positions of each result position, and their weights.
function linearTaps(length, from) {
  const low = new Int32Array(length), high = new Int32Array(length);
  const weights = [new Int32Array(length), new Int32Array(length)];
  for (let i = 0; i < length; i++) {
    const at = Math.fround((i + 0.5) * (from / length) - 0.5);
    const whole = Math.floor(at);
    const part = Math.fround(at - whole);
    low[i] = Math.min(Math.max(whole, 0), from - 1);
    high[i] = Math.min(Math.max(whole + 1, 0), from - 1);
    weights[0][i] = roundEven(Math.fround(1 - part) * WEIGHT);
    weights[1][i] = roundEven(part * WEIGHT);
  }
  return { low, high, weights };
}

function resizeLinear(rows, part, width, height, out) {
  const x = linearTaps(width, part.width), y = linearTaps(height, part.height);
  const lines = new Map(); // the two source rows in use, interpolated along x
  const line = (row) => {
    if (!lines.has(row)) {
      const old = lines.size > 1 ? Math.min(...lines.keys()) : null;
      const values = old === null ? new Int32Array(3 * width) : lines.get(old);
      lines.delete(old);
      interpolateRow(rows, part, row, x, values);
      lines.set(row, values);
    }
    return lines.get(row);
  };
  for (let i = 0, to = 0; i < height; i++) {
    const upper = line(y.low[i]), lower = line(y.high[i]);
    const a = y.weights[0][i], b = y.weights[1][i];
    for (let j = 0; j < 3 * width; j++) {
      out[to++] = (((a * (upper[j] >> 4)) >> 16) + ((b * (lower[j] >> 4)) >> 16) + 2) >> 2;
    }
  }
}

function interpolateRow(rows, part, row, taps, values) {
  const start = rows.seek(part.top + row) + 4 * part.left;
  const { data } = rows;
  const { low, high, weights: [left, right] } = taps;
  for (let i = 0, to = 0; i < low.length; i++) {
    let a = start + 4 * low[i], b = start + 4 * high[i];
    for (let channel = 0; channel < 3; channel++) {
      values[to++] = data[a++] * left[i] + data[b++] * right[i];
    }
  }
}

// ---- INTER_AREA: the average of the pixels that a result pixel covers

// For each result position the source positions it covers, as [to, from, weight].
function areaTaps(length, from) {
  const scale = from / length, taps = [];
  for (let to = 0; to < length; to++) {
    const start = to * scale, end = start + scale;
    const size = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) taps.push([to, first - 1, (first - start) / size]);
    for (let i = first; i < last; i++) taps.push([to, i, 1 / size]);
    if (end - last > 1e-3) taps.push([to, last, Math.min(end - last, 1, size) / size]);
  }
  return taps;
}

function resizeArea(rows, part, width, height, out) {
  const scaleX = part.width / width, scaleY = part.height / height;
  if (Number.isInteger(scaleX) && Number.isInteger(scaleY)) {
    return resizeBlocks(rows, part, scaleX, scaleY, width, out);
  }
  const across = columns(areaTaps(width, part.width));
  const line = new Float32Array(3 * width), sum = new Float32Array(3 * width);
  let current = -1, target = 0;
  const finish = () => {
    const at = 3 * width * target;
    for (let j = 0; j < sum.length; j++) out[at + j] = roundEven(sum[j]);
    sum.fill(0);
  };
  for (const [to, from, weight] of areaTaps(height, part.height)) {
    if (to !== target) finish();
    target = to;
    if (from !== current) averageRow(rows, part, from, across, line);
    current = from;
    for (let j = 0; j < sum.length; j++) sum[j] += weight * line[j];
  }
  finish();
}

// Average blocks of `across` x `down` pixels, whose sums are integers.
function resizeBlocks(rows, part, across, down, width, out) {
  const sum = new Int32Array(3 * width);
  const factor = Math.fround(1 / (across * down));
  const average = across === 2 && down === 2
    ? (total) => (total + 2) >> 2 : (total) => roundEven(Math.fround(total * factor));
  for (let y = 0; y < part.height; y++) {
    const start = rows.seek(part.top + y) + 4 * part.left;
    addBlocks(rows.data, start, across, sum);
    if ((y + 1) % down) continue;
    const at = 3 * width * Math.floor(y / down);
    for (let j = 0; j < sum.length; j++) out[at + j] = average(sum[j]);
    sum.fill(0);
  }
}

// Add a row of pixels to the sums of its blocks.
function addBlocks(data, start, across, sum) {
  for (let i = 0, at = start; i < sum.length; i += 3) {
    let red = 0, green = 0, blue = 0;
    for (const end = at + 4 * across; at < end; at += 4) {
      red += data[at];
      green += data[at + 1];
      blue += data[at + 2];
    }
    sum[i] += red;
    sum[i + 1] += green;
    sum[i + 2] += blue;
  }
}

// Taps as typed arrays, which are faster to read.
function columns(taps) {
  return {
    to: Int32Array.from(taps, (tap) => 3 * tap[0]),
    from: Int32Array.from(taps, (tap) => 4 * tap[1]),
    weight: Float32Array.from(taps, (tap) => tap[2]),
  };
}

function averageRow(rows, part, row, { to, from, weight }, line) {
  const start = rows.seek(part.top + row) + 4 * part.left;
  const { data } = rows;
  line.fill(0);
  for (let k = 0; k < to.length; k++) {
    const i = to[k], j = start + from[k], w = weight[k];
    line[i] += w * data[j];
    line[i + 1] += w * data[j + 1];
    line[i + 2] += w * data[j + 2];
  }
}
