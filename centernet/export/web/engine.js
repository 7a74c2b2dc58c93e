"use strict";
// The worker that runs the network, as functions that return promises.

const settings = JSON.parse($("settings").textContent);

const engine = {
  worker: null,
  waiting: new Map(), // {resolve, reject} by number of the request
  requests: 0,
  last: Promise.resolve(), // requests run one after another
  maps: settings.has_heatmaps,

  // Start the worker and load the network into it.
  async start() {
    const runtime = await unpackText($("runtime").textContent);
    const code = [runtime, $("worker").textContent];
    const url = URL.createObjectURL(new Blob(code, { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => this.answer(data);
    this.worker.onerror = (event) => this.fail(event.message || "the worker stopped");
    const { maps } = await this.ask("start", {
      wasm: $("wasm").textContent, network: $("network").textContent, settings,
    });
    this.maps &&= maps;
    // Their text is no longer needed, and large.
    for (const id of ["runtime", "wasm", "network"]) $(id).remove();
    URL.revokeObjectURL(url);
  },

  // Detect objects in {file} or in {bitmap}; see detect() in worker.js for the result.
  detect(image) {
    const result = this.last.then(() => this.ask("detect", image, image.bitmap ? [image.bitmap] : []));
    this.last = result.catch(() => {});
    return result;
  },

  ask(type, request, moved = []) {
    const id = this.requests++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, type, ...request }, moved);
    });
  },

  answer({ id, result, error }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  },

  fail(reason) {
    for (const { reject } of this.waiting.values()) reject(new Error(reason));
    this.waiting.clear();
  },
};

async function unpackText(base64) {
  const bytes = Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
