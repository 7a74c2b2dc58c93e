"use strict";
// Video files and the camera: the newest frame is analyzed, frames in between are dropped.

const live = {
  video: null, // the element that plays, while there is one
  name: "", // of the file, or "camera"
  isCamera: false,
  facing: "environment", // of the camera
  running: false,
  loop: 0, // number of the loop that analyzes frames; an earlier one ends
  rate: 0, // analyzed frames per second, smoothed
  ended: 0, // time of the last frame's end
  frame: 1 / 25, // seconds between frames of the file, measured while it plays
};

const CAMERA_ERRORS = {
  NotAllowedError: "The camera is blocked: allow it in the browser's address bar, then try again.",
  NotFoundError: "No camera was found: connect one, then try again.",
  NotReadableError: "The camera is in use by another program: close it, then try again.",
};

// ---- open and close

async function openCamera() {
  say();
  if (!navigator.mediaDevices?.getUserMedia) {
    return say("This browser gives no camera to a page on disk: use Chrome or Edge, or a video file.");
  }
  closeLive();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: { ideal: live.facing }, width: { ideal: 1280 } },
    });
    const cameras = (await navigator.mediaDevices.enumerateDevices())
      .filter(({ kind }) => kind === "videoinput");
    $("turn").hidden = cameras.length < 2;
    await openLive("camera", { srcObject: stream });
  } catch (error) {
    say(CAMERA_ERRORS[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
}

async function openVideo(file) {
  say();
  closeLive();
  $("turn").hidden = true;
  try {
    await openLive(file.name, { src: URL.createObjectURL(file) });
  } catch {
    closeLive();
    say(`${file.name}: this browser cannot play it. MP4 with H.264 works in every browser.`);
  }
}

async function openLive(name, source) {
  await ready;
  const video = make("video", { muted: true, playsInline: true, className: "hidden", ...source });
  $("picture").append(video); // browsers decode no frames of a video that is not in the page
  Object.assign(live, { video, name, isCamera: Boolean(source.srcObject), rate: 0, ended: 0 });
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = reject;
    video.play().catch(reject);
  });
  if (live.video !== video) return;
  state.item = null;
  for (const item of state.items) markCurrent(item, false);
  video.onended = () => setRunning(false);
  $("live").hidden = false;
  $("seek").hidden = $("step").hidden = live.isCamera;
  $("seek").max = live.isCamera ? 0 : video.duration;
  setRunning(true);
}

function closeLive() {
  const { video } = live;
  if (!video) return;
  Object.assign(live, { video: null, running: false, loop: live.loop + 1 });
  video.pause();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.remove();
  if (video.src) URL.revokeObjectURL(video.src);
  $("live").hidden = true;
}

// ---- play

function setRunning(on) {
  if (!live.video) return;
  if (live.running === on) return;
  live.running = on;
  live.loop += 1;
  $("play").textContent = on ? "❚❚ Pause" : "▶ Play";
  if (!on) return live.video.pause();
  live.ended = 0;
  live.video.play().catch(() => setRunning(false));
  run(live.video, live.loop);
}

async function run(video, loop) {
  while (live.loop === loop && live.video === video) {
    if (await nextFrame(video) && live.loop === loop) await analyzeFrame();
  }
  if (!live.running && live.video === video) await analyzeFrame(); // the one at which it stopped
}

// Wait for a new frame; false if there was none for a while, as in a paused video.
function nextFrame(video) {
  return new Promise((resolve) => {
    if (!video.requestVideoFrameCallback) {
      const before = video.currentTime;
      return setTimeout(() => resolve(video.currentTime !== before), 30);
    }
    const timer = setTimeout(() => resolve(false), 250);
    video.requestVideoFrameCallback((_, { mediaTime, presentedFrames }) => {
      const { before } = live;
      const frames = presentedFrames - before?.presentedFrames, time = mediaTime - before?.mediaTime;
      if (frames > 0 && time > 0) live.frame = clamp(time / frames, 1 / 120, 1 / 5);
      live.before = { mediaTime, presentedFrames };
      clearTimeout(timer);
      resolve(true);
    });
  });
}

// The current frame; browsers may need a moment after they announce it.
async function grabFrame(video, trials = 20) {
  for (;; trials--) {
    try {
      return await createImageBitmap(video);
    } catch (error) {
      if (!trials) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function analyzeFrame() {
  const { video } = live;
  const began = performance.now(), time = video.currentTime;
  let result;
  try {
    result = await engine.detect({ bitmap: await grabFrame(video) });
  } catch (error) {
    setRunning(false);
    return say(`${live.name}: ${error.message}`);
  }
  if (live.video !== video) return result.bitmap.close();
  if (state.picture?.frame) state.picture.bitmap.close();
  const keepZoom = state.picture?.frame === video && state.picture.width === result.width;
  const name = live.isCamera ? "camera" : `${live.name} ${clock(time)}`;
  showPicture({ ...result, name, frame: video }, { keepZoom });
  measureRate(performance.now() - began, time);
}

function measureRate(latency, time) {
  const now = performance.now();
  const rate = live.ended ? 1000 / (now - live.ended) : 0;
  live.rate = live.rate && rate ? 0.8 * live.rate + 0.2 * rate : rate;
  live.ended = live.running ? now : 0;
  if (!live.isCamera) $("seek").value = time;
  $("rate").textContent = live.running && live.rate
    ? `${live.rate.toFixed(1)} fps · ${Math.round(latency)} ms per frame`
    : `${Math.round(latency)} ms per frame`;
}

const clock = (seconds) => {
  const minutes = String(Math.floor(seconds / 60)).padStart(2, "0");
  return `${minutes}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
};

async function seek(time) {
  const { video } = live;
  if (!video || live.isCamera) return;
  setRunning(false);
  await new Promise((resolve) => {
    video.onseeked = resolve;
    video.currentTime = clamp(time, 0, video.duration);
  });
  if (live.video === video) await analyzeFrame();
}

const stepFrame = (by = 1) => live.video && seek(live.video.currentTime + by * live.frame);

function turnCamera() {
  live.facing = live.facing === "environment" ? "user" : "environment";
  openCamera();
}

// Add the current frame to the images.
async function takeSnapshot() {
  if (!live.video || !state.picture) return;
  const { bitmap, name } = state.picture;
  const copy = new OffscreenCanvas(bitmap.width, bitmap.height);
  copy.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await copy.convertToBlob();
  const time = live.isCamera ? ` ${new Date().toLocaleTimeString("sv")}` : "";
  const file = new File([blob], `${name}${time}.png`.replaceAll(":", "-"), { type: "image/png" });
  const item = { file, name: file.name, status: "waiting" };
  addItem(item);
  await analyze(item);
  refreshGallery();
}
