"use strict";
// How an image becomes network input, and how boxes get back: centernet/data/preprocess.py and
// centernet/geometry.py. Coordinates are continuous; pixel i covers [i, i + 1).

const MAX_KEPT = 2048; // longest input side of an image that is analyzed at its own size

const roundUp = (side, multiple) => multiple * Math.max(1, Math.ceil(side / multiple));

/* The scale and shift from image to network input, and the size of the input.
   image: {width, height}.
   model: {image_size: [height, width] or null, size_multiple}. */
function placeImage({ width, height }, { image_size, size_multiple }) {
  let size = image_size;
  if (!size) {
    const longest = Math.max(width, height);
    if (longest <= MAX_KEPT) return keepSize(width, height, size_multiple);
    size = [(height * MAX_KEPT) / longest, (width * MAX_KEPT) / longest];
  }
  const scale = Math.min(size[0] / height, size[1] / width);
  const inputHeight = roundUp(roundEven(size[0]), size_multiple);
  const inputWidth = roundUp(roundEven(size[1]), size_multiple);
  return {
    width: inputWidth,
    height: inputHeight,
    x: { scale, shift: (inputWidth - scale * width) / 2 },
    y: { scale, shift: (inputHeight - scale * height) / 2 },
  };
}

// The image at its own size, centered on a larger input.
function keepSize(imageWidth, imageHeight, multiple) {
  const width = (imageWidth | (multiple - 1)) + 1, height = (imageHeight | (multiple - 1)) + 1;
  const shift = (input, side) => Math.floor(input / 2) - Math.floor(side / 2);
  return {
    width,
    height,
    x: { scale: 1, shift: shift(width, imageWidth) },
    y: { scale: 1, shift: shift(height, imageHeight) },
  };
}

// The image pixels [start, stop) along one axis, and the input pixels they are mapped to.
function alignToPixels({ scale, shift }, imageLength, inputLength) {
  const start = Math.max(0, Math.floor(-shift / scale));
  const stop = Math.min(imageLength, Math.ceil((inputLength - shift) / scale));
  const toStart = roundEven(scale * start + shift);
  const toStop = Math.max(toStart + 1, roundEven(scale * stop + shift));
  const applied = (toStop - toStart) / (stop - start);
  return { start, stop, toStart, toStop, scale: applied, shift: toStart - applied * start };
}

/* Make the network input from an image.
   rows: the PixelRows of the image.
   Returns {data: RGB values of (height, width, 3), width, height, x, y}, where x and y are the
   scale and shift that were applied. */
function letterbox(rows, model) {
  const place = placeImage(rows, model);
  const { width, height } = place;
  const x = alignToPixels(place.x, rows.width, width);
  const y = alignToPixels(place.y, rows.height, height);
  const part = { left: x.start, top: y.start, width: x.stop - x.start, height: y.stop - y.start };
  const resized = resize(rows, part, x.toStop - x.toStart, y.toStop - y.toStart);
  const data = new Uint8Array(3 * width * height);
  const line = 3 * (x.toStop - x.toStart);
  const skipped = 3 * Math.max(0, -x.toStart);
  const kept = 3 * Math.min(x.toStop, width) - 3 * Math.max(x.toStart, 0);
  for (let row = Math.max(y.toStart, 0); row < Math.min(y.toStop, height); row++) {
    const from = (row - y.toStart) * line + skipped;
    data.set(resized.subarray(from, from + kept), 3 * (row * width + Math.max(x.toStart, 0)));
  }
  return { data, width, height, x, y };
}

/* The detections of an image, best first, boxes clipped to it; empty boxes are dropped, but for
   points inside the image: boxes of zero size, of classes that were learned from points.
   outputs: boxes (K, 4), scores (K), labels (K) as flat arrays, boxes in input pixels. */
function toImage({ boxes, scores, labels }, { x, y }, { width, height }) {
  const found = [];
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    const whole = [0, 1, 2, 3].map((side) => {
      const { scale, shift } = side % 2 ? y : x;
      return Math.fround((boxes[4 * i + side] - shift) / scale);
    });
    const box = whole.map((value, side) =>
      Number.isNaN(value) ? value : Math.min(Math.max(value, 0), side % 2 ? height : width));
    const isInside = box.every((value, side) => value === whole[side]);
    const isPoint = isInside && box[0] === box[2] && box[1] === box[3];
    if (score > 0 && (isPoint || (box[2] > box[0] && box[3] > box[1]))) {
      found.push({ label: Number(labels[i]), score, box });
    }
  }
  return found;
}
