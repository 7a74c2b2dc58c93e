"use strict";
// The worker that runs the network, so that the page never freezes. The constant `ort` is ONNX
// Runtime Web.

let session = null;
let model = null;

/* The bytes that text in base64 stands for, decompressed. */
async function unpack(base64) {
  return inflate(new Blob(fromBase64(base64)), "gzip");
}

async function inflate(blob, format) {
  const stream = blob.stream().pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// In parts, because a browser limits the length of a string that it converts.
function fromBase64(text) {
  const parts = [], length = 4 << 20;
  for (let at = 0; at < text.length; at += length) {
    const binary = atob(text.slice(at, at + length));
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    parts.push(bytes);
  }
  return parts;
}

async function start({ wasm, network, settings }) {
  model = settings;
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more need a server that sends isolation headers
  ort.env.wasm.wasmBinary = (await unpack(wasm)).buffer;
  session = await ort.InferenceSession.create(await unpack(network), {
    executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3,
  });
  ort.env.wasm.wasmBinary = undefined;
  // The first run allocates memory.
  const [height, width] = model.image_size ?? [model.size_multiple, model.size_multiple];
  const rows = new PixelRows(width, height, (_, count) => new Uint8ClampedArray(4 * width * count));
  await run(letterbox(rows, model));
  return { maps: session.outputNames.includes("heatmap") };
}

async function run({ data, width, height }) {
  return session.run({ images: new ort.Tensor("uint8", data, [1, height, width, 3]) });
}

/* Detect objects in an image file or an ImageBitmap. */
async function detect({ file, bitmap }) {
  const began = performance.now();
  const image = bitmap ? { bitmap, rows: rowsOf(bitmap) } : await readImage(file);
  const { width, height } = image.rows;
  const read = performance.now();
  const input = letterbox(image.rows, model);
  const prepared = performance.now();
  const { boxes, scores, labels, heatmap } = await run(input);
  const ended = performance.now();
  const found = toImage({ boxes: boxes.data, scores: scores.data, labels: labels.data },
    input, { width, height });
  const heat = heatmap ? { data: heatmap.data, shape: heatmap.dims.slice(1), x: input.x, y: input.y }
    : null;
  const ms = { read: read - began, prepare: prepared - read, network: ended - prepared };
  return { width, height, found, heat, ms, bitmap: await shownBitmap(image.bitmap) };
}

function reasonOf(error) {
  if (error instanceof ImageError) return error.message;
  const text = `${error?.message ?? error}`.split("\n")[0];
  const memory = error instanceof WebAssembly.RuntimeError || /memory|alloc/i.test(text);
  return memory ? `there is not enough memory (${text}): reload the page, use smaller images` : text;
}

onmessage = async ({ data: { id, type, ...request } }) => {
  try {
    const result = await (type === "start" ? start(request) : detect(request));
    const moved = [result.bitmap, result.heat?.data.buffer].filter(Boolean);
    postMessage({ id, result }, moved);
  } catch (error) {
    postMessage({ id, error: reasonOf(error) });
  }
};
