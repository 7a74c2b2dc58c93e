"use strict";
// Files to download, with the fields of `centernet detect --json` and `--csv`. They hold what is
// shown: classes that are switched on, scores that reach their threshold.

// The analyzed images; without any, the current video frame.
function pictures() {
  const done = state.items.filter((item) => item.status === "done");
  return done.length || !state.picture ? done : [state.picture];
}

function asJson() {
  return JSON.stringify(pictures().map(({ name, width, height, found }) => ({
    source: name, width, height, ...zoneCounts({ width, height, found }),
    detections: shown(found).map(({ label, score, box }) =>
      ({ class: className(label), label, score, box })),
  })), null, 1);
}

function asCsv() {
  const quoted = (value) => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
  const rows = [["image", "class", "score", "x1", "y1", "x2", "y2"]];
  for (const { name, found } of pictures()) {
    for (const { label, score, box } of shown(found)) {
      rows.push([name, className(label), score, ...box]);
    }
  }
  return rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

// The picture as it is shown, at the size of the image.
async function asPng() {
  const { bitmap, width } = state.picture;
  const copy = new OffscreenCanvas(bitmap.width, bitmap.height);
  const unit = clamp(Math.min(bitmap.width, bitmap.height) / 540, 1, 4);
  paint(copy.getContext("2d"), { scale: bitmap.width / width, x: 0, y: 0 }, unit);
  return copy.convertToBlob({ type: "image/png" });
}

// The heatmaps (classes, rows, columns) as float32 in NumPy's format.
function asNpy() {
  const { data, shape } = state.picture.heat;
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const bytes = Uint8Array.from(`\x93NUMPY\x01\0  ${padded}`, (letter) => letter.charCodeAt(0));
  new DataView(bytes.buffer).setUint16(8, padded.length, true);
  return new Blob([bytes, data]);
}

const DOWNLOADS = {
  json: async () => download("detections.json", asJson(), "application/json"),
  csv: async () => download("detections.csv", asCsv(), "text/csv"),
  png: async () => download(`${stem()}.detections.png`, await asPng()),
  npy: async () => download(`${stem()}.heatmaps.npy`, asNpy()),
};

const stem = () => state.picture.name.split("/").pop().replace(/\.\w+$/, "").replaceAll(":", "-");

function refreshDownloads() {
  for (const kind of ["png", "npy"]) $(`save-${kind}`).disabled = !state.picture;
  for (const kind of ["json", "csv"]) $(`save-${kind}`).disabled = !pictures().length;
  $("save-npy").hidden = !engine.maps;
}
