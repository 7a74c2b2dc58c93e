"use strict";
// The images of this session: the queue in which they are analyzed, and the gallery.

const MAX_VIEWS = 8; // images whose pixels and heatmaps stay in memory
const IMAGE = /\.(jpe?g|png|webp|bmp|gif|avif|jfif|tiff?|hei[cf])$/i;
const VIDEO = /\.(mp4|m4v|webm|mov|mkv|avi|ogv)$/i;
const isVideo = (file) => file.type.startsWith("video/") || (!file.type && VIDEO.test(file.name));
const isImage = (file) => file.type.startsWith("image/") || IMAGE.test(file.name);

const queue = { running: false, canceled: false, done: 0, began: 0 };
const views = []; // items with pixels and heatmaps, the latest last

// Add files; those of a folder that are no images are left out.
function addFiles(files, { folder = false } = {}) {
  const chosen = folder ? files.filter(isImage) : files;
  const video = chosen.find(isVideo);
  say();
  if (folder && !chosen.length) say("There is no image in this folder.");
  if (video) return openVideo(video);
  const names = new Intl.Collator(undefined, { numeric: true });
  if (folder) chosen.sort((a, b) => names.compare(pathOf(a), pathOf(b)));
  const items = chosen.map((file) => ({ file, name: pathOf(file), status: "waiting" }));
  if (!items.length) return;
  closeLive();
  for (const item of items) addItem(item);
  refreshGallery();
  analyzeAll();
}

const pathOf = (file) => file.path || file.webkitRelativePath || file.name;

// ---- the queue

// Analyze all waiting images, one after another, and show the first that works.
async function analyzeAll() {
  if (queue.running) return;
  Object.assign(queue, { running: true, canceled: false, done: 0, began: performance.now() });
  refreshProgress();
  let isFirst = true;
  for (let item; !queue.canceled && (item = waiting()[0]);) {
    await analyze(item);
    queue.done += 1;
    refreshProgress();
    if (isFirst && item.status === "done") {
      isFirst = false;
      await select(item);
    }
  }
  queue.running = false;
  if (queue.canceled) dropWaiting();
  refreshProgress();
  reportFailures();
  refresh();
  const done = state.items.filter((item) => item.status === "done");
  if (queue.done > 1) announce(`${plural(done.length, "image")} analyzed: ${allInWords(done)} found`);
}

const waiting = () => state.items.filter((item) => item.status === "waiting");

async function analyze(item) {
  try {
    await ready;
    const { bitmap, heat, ...result } = await engine.detect({ file: item.file });
    Object.assign(item, result, { status: "done" });
    keepView(item, { bitmap, heat });
    item.thumbnail ??= drawThumbnail(item, bitmap);
  } catch (error) {
    Object.assign(item, { status: "failed", error: error.message });
  }
  refreshItem(item);
}

function keepView(item, view) {
  item.view?.bitmap.close();
  item.view = view;
  if (views.includes(item)) views.splice(views.indexOf(item), 1);
  views.push(item);
  while (views.length > MAX_VIEWS) {
    const [old] = views.splice(views[0] === state.item ? 1 : 0, 1);
    old.view.bitmap.close();
    old.view = null;
  }
}

function reportFailures() {
  const failed = state.items.filter((item) => item.status === "failed" && !item.reported);
  for (const item of failed) item.reported = true;
  if (!failed.length) return;
  const [{ name, error }] = failed;
  const others = failed.length > 1 ? ` (and ${plural(failed.length - 1, "other file")})` : "";
  say(`${name}: ${error}${others}`);
}

function dropWaiting() {
  for (const item of waiting()) item.element.remove();
  state.items = state.items.filter((item) => item.status !== "waiting");
}

const allInWords = (items) => inWords(items.flatMap((item) => shown(item.found)));

// ---- selection

async function select(item) {
  if (item.status !== "done") return;
  closeLive();
  state.item = item;
  if (!item.view) await analyze(item); // its pixels and heatmaps were dropped
  if (item.status === "failed") return reportFailures();
  if (state.item !== item) return; // another was selected meanwhile
  showPicture({ ...item, ...item.view });
  for (const other of state.items) markCurrent(other, other === item);
  item.element.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function markCurrent(item, current) {
  const button = item.element.querySelector("button");
  if (current) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

// Show an image or a video frame.
function showPicture(picture, { keepZoom = false } = {}) {
  state.picture = picture;
  state.lit = null;
  document.body.classList.add("filled");
  colorHeat();
  refreshPicture();
  if (!keepZoom) fit();
}

function step(by) {
  const done = state.items.filter((item) => item.status === "done");
  const at = done.indexOf(state.item);
  const item = done[clamp(at + by, 0, done.length - 1)];
  if (item && item !== state.item) select(item);
}

// ---- gallery

function addItem(item) {
  const button = make("button", { type: "button", onclick: () => select(item) },
    make("span", { className: "thumb" }),
    make("span", {}, make("b", {}, make("bdi", { textContent: item.name })), make("small")));
  item.element = make("li", {}, button);
  state.items.push(item);
  $("images").append(item.element);
  refreshItem(item);
}

function drawThumbnail(item, bitmap) {
  const thumbnail = make("canvas", { width: 112, height: 84 });
  thumbnail.setAttribute("aria-hidden", "true");
  const scale = Math.max(112 / bitmap.width, 84 / bitmap.height);
  const size = [bitmap.width * scale, bitmap.height * scale];
  const context = thumbnail.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (112 - size[0]) / 2, (84 - size[1]) / 2, ...size);
  item.element.querySelector(".thumb").append(thumbnail);
  return thumbnail;
}

function refreshItem(item) {
  const texts = {
    waiting: () => "waiting", failed: () => `✕ ${item.error}`,
    done: () => inWords(shown(item.found)),
  };
  const text = texts[item.status]();
  const small = item.element.querySelector("small");
  if (small.textContent !== text) small.textContent = text;
  item.element.className = item.status;
  item.element.querySelector("button").disabled = item.status !== "done";
}

function refreshGallery() {
  document.body.classList.toggle("several", state.items.length > 1);
  for (const item of state.items) refreshItem(item);
  const done = state.items.filter((item) => item.status === "done");
  $("images-title").textContent = plural(state.items.length, "image");
  $("images-total").textContent = done.length > 1
    ? allInWords(done) : "";
}

function refreshProgress() {
  const rest = waiting().length, total = queue.done + rest;
  $("progress").hidden = !queue.running || total < 2;
  Object.assign($("bar"), { max: total, value: queue.done });
  const left = ((performance.now() - queue.began) / queue.done / 1000) * rest;
  $("progress-text").textContent =
    `${queue.done} of ${total}` + (queue.done ? ` · ${duration(left)} left` : "");
}

function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
