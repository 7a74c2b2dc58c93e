"use strict";
// Colors of a PNG image with transparent pixels. A canvas forgets the color of transparent pixels;
// OpenCV, which reads the images of the training, only drops their transparency.

const PNG_CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }; // by color type: gray, RGB, palette, with alpha

/* Decode a PNG file.
   bytes: Uint8Array of the file.
   Returns {width, height, data: RGBA values, opaque}, or null for interlaced files. */
async function decodePng(bytes) {
  const { header, palette, compressed } = pngChunks(bytes);
  const [width, height] = [header.getUint32(0), header.getUint32(4)];
  const [depth, type, interlaced] = [8, 9, 12].map((at) => header.getUint8(at));
  if (interlaced) return null;
  const line = Math.ceil((width * depth * PNG_CHANNELS[type]) / 8);
  const step = Math.max(1, (depth * PNG_CHANNELS[type]) / 8);
  const raw = await inflate(new Blob(compressed), "deflate");
  unfilter(raw, line, step, height);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let y = 0; y < height; y++) {
    const row = raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1));
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x);
      for (let channel = 0; channel < 3; channel++) {
        data[at + channel] = pngValue(row, x, channel, depth, type, palette);
      }
    }
  }
  return { width, height, data };
}

// Whether a PNG file can have transparent pixels.
function hasAlpha(bytes) {
  const { header, transparency } = pngChunks(bytes);
  return header.getUint8(9) >= 4 || transparency;
}

function pngChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = { header: null, palette: null, transparency: false, compressed: [] };
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") chunks.header = new DataView(bytes.buffer, bytes.byteOffset + at + 8, 13);
    else if (name === "PLTE") chunks.palette = body;
    else if (name === "tRNS") chunks.transparency = true;
    else if (name === "IDAT") chunks.compressed.push(body);
    at += length + 12;
  }
  return chunks;
}

// The 8-bit value of a channel (red, green, blue) of pixel `x` in a row.
function pngValue(row, x, channel, depth, type, palette) {
  const color = type === 2 || type === 6 ? channel : 0;
  const sample = x * PNG_CHANNELS[type] + color;
  if (depth === 16) return row[2 * sample]; // the high byte
  if (depth === 8) return type === 3 ? palette[3 * row[sample] + channel] : row[sample];
  const bit = sample * depth;
  const value = (row[bit >> 3] >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
  return type === 3 ? palette[3 * value + channel] : (value * 255) / ((1 << depth) - 1);
}

// Undo the filters of a PNG: each row starts with the number of its filter.
function unfilter(raw, line, step, height) {
  for (let y = 0; y < height; y++) {
    const start = y * (line + 1) + 1, filter = raw[start - 1];
    for (let i = 0; i < line; i++) {
      const at = start + i, above = at - line - 1;
      const left = i < step ? 0 : raw[at - step];
      const up = y === 0 ? 0 : raw[above];
      const corner = i < step || y === 0 ? 0 : raw[above - step];
      if (filter === 1) raw[at] += left;
      else if (filter === 2) raw[at] += up;
      else if (filter === 3) raw[at] += (left + up) >> 1;
      else if (filter === 4) raw[at] += paeth(left, up, corner);
    }
  }
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}
