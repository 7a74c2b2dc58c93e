// Detects objects in an image with an exported model: ONNX Runtime and sharp.
//
//     npm install
//     node detect.mjs model.onnx photo.jpg detections.jpg [threshold]
//
// Prints one line per detection: score, x1, y1, x2, y2 in image pixels, class name. The default
// threshold of a class is the one stored in the model, else 0.3.

import { existsSync, readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import sharp from "sharp";

const DEFAULT_THRESHOLD = 0.3;

// The metadata of an ONNX file; each value is JSON. ONNX Runtime has no function for them
// in JavaScript. The file is a protocol buffer; field 14 holds the pairs of key and value.
function readMetadata(bytes) {
  const metadata = {};
  for (const [field, pair] of fields(bytes)) {
    if (field !== 14) continue;
    const [[, key], [, value]] = fields(pair);
    metadata[key] = JSON.parse(value);
  }
  return metadata;
}

// The fields of a protocol buffer as [number, value].
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      value += (bytes[at] & 127) * factor;
      if (bytes[at++] < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint(), value = varint();
    if ((tag & 7) === 0) yield [tag >> 3, value];
    else yield [tag >> 3, bytes.subarray(at, (at += value))];
  }
}

// Rounds halves to even, as Python does.
function round(x) {
  const below = Math.floor(x);
  return x - below === 0.5 && below % 2 === 0 ? below : Math.round(x);
}

// The letterbox along one axis: the image is scaled to the input pixels [start, stop), centered.
function fitAxis(image, fit, scale, multiple) {
  const input = Math.ceil(fit / multiple) * multiple;
  const shift = (input - scale * image) / 2;
  const start = round(shift);
  return { image, input, start, stop: Math.max(start + 1, round(scale * image + shift)) };
}

// Without a training size, the image keeps its size.
function keepAxis(image, multiple) {
  const input = (image | (multiple - 1)) + 1;
  const start = (input >> 1) - (image >> 1);
  return { image, input, start, stop: start + image };
}

// For each pixel along an axis, the source pixels and their weights: linear interpolation, or the
// average of the covered pixels.
function weights({ image, start, stop }, average) {
  const ratio = image / (stop - start);
  return Array.from({ length: stop - start }, (_, i) => {
    if (!average) {
      const x = (i + 0.5) * ratio - 0.5, left = Math.floor(x);
      return [[Math.max(left, 0), left + 1 - x], [Math.min(left + 1, image - 1), x - left]];
    }
    const covered = [], low = i * ratio, high = Math.min(low + ratio, image);
    for (let s = Math.floor(low); s < high; s++)
      covered.push([s, (Math.min(s + 1, high) - Math.max(s, low)) / ratio]);
    return covered;
  });
}

// The network input: the scaled image on black. pixels: RGB, row by row.
function letterbox(pixels, x, y) {
  const shrinks = [x, y].some((a) => a.stop - a.start < Math.floor(a.image / 2));
  const columns = weights(x, shrinks), rows = weights(y, shrinks);
  const input = new Uint8Array(y.input * x.input * 3);
  rows.forEach((row, i) =>
    columns.forEach((column, j) => {
      const at = ((y.start + i) * x.input + x.start + j) * 3;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const [r, rowWeight] of row)
          for (const [s, weight] of column)
            sum += rowWeight * weight * pixels[(r * x.image + s) * 3 + c];
        input[at + c] = Math.round(sum);
      }
    }),
  );
  return input;
}

// Detects objects in an image, best first. pixels: RGB, row by row.
async function detect(modelPath, pixels, width, height, threshold) {
  const session = await ort.InferenceSession.create(modelPath);
  const model = readMetadata(readFileSync(modelPath));
  const multiple = model.size_multiple;
  let x = keepAxis(width, multiple), y = keepAxis(height, multiple);
  if (model.image_size) {
    const [fitHeight, fitWidth] = model.image_size;
    const scale = Math.min(fitHeight / height, fitWidth / width);
    x = fitAxis(width, fitWidth, scale, multiple);
    y = fitAxis(height, fitHeight, scale, multiple);
  }
  const images = new ort.Tensor("uint8", letterbox(pixels, x, y), [1, y.input, x.input, 3]);
  const { boxes, scores, labels } = await session.run({ images }, ["boxes", "scores", "labels"]);
  const toImage = (value, { image, start, stop }) =>
    Math.min(Math.max(((value - start) * image) / (stop - start), 0), image);
  const found = [];
  for (let i = 0; i < scores.data.length; i++) {
    const box = [0, 1, 2, 3].map((k) => toImage(boxes.data[4 * i + k], k % 2 ? y : x));
    const label = Number(labels.data[i]), score = scores.data[i];
    const least = threshold ?? model.thresholds?.[label] ?? DEFAULT_THRESHOLD;
    if (score >= least && score > 0 && box[2] > box[0] && box[3] > box[1])
      found.push({ score, box, name: model.class_names[label] });
  }
  return found;
}

// The detections as an SVG image, to lay over a picture.
function drawing(found, width, height) {
  const escape = (text) => text.replace(/[<>&]/g, (c) => `&#${c.charCodeAt(0)};`);
  const shapes = found.map(({ score, box: [x1, y1, x2, y2], name }) =>
    `<rect x="${x1}" y="${y1}" width="${x2 - x1}" height="${y2 - y1}"/>` +
    `<text x="${x1 + 3}" y="${y1 + 15}">${escape(name)} ${score.toFixed(2)}</text>`);
  return Buffer.from(
    `<svg width="${width}" height="${height}"><style>rect {fill: none; stroke: lime; ` +
    `stroke-width: 2} text {font: 14px sans-serif; fill: lime}</style>${shapes.join("")}</svg>`);
}

async function main(modelPath, imagePath, outputPath, threshold) {
  if (!existsSync(modelPath)) throw new Error(`cannot read model ${modelPath}`);
  const image = sharp(imagePath).rotate().removeAlpha().toColourspace("srgb").raw();
  const { data, info } = await image.toBuffer({ resolveWithObject: true }).catch(() => {
    throw new Error(`cannot read image ${imagePath}`);
  });
  const { width, height } = info;
  const found = await detect(modelPath, data, width, height, threshold && Number(threshold));
  for (const { score, box, name } of found)
    console.log(score.toFixed(6), ...box.map((value) => value.toFixed(3)), name);
  await sharp(data, { raw: info })
    .composite([{ input: drawing(found, width, height) }])
    .toFile(outputPath);
}

const [model, image, output, threshold] = process.argv.slice(2);
if (!output) {
  console.error("node detect.mjs model.onnx photo.jpg detections.jpg [threshold]");
  process.exit(2);
}
main(model, image, output, threshold).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
