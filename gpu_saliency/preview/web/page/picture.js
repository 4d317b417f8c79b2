// Draws the frame with its layers, and describes it in text.

import { $, LAYERS, clock, frameRate, setText, signed, state } from "./state.js";

const RATE_MS = 2000; // time over which the shown frames per second are measured
const layers = { heat: document.createElement("canvas"), grid: document.createElement("canvas") }; // one pixel per block
let drawnAt = []; // times in milliseconds of the latest pictures

export function showPicture(picture) {
  if (state.shown) state.shown.bitmap.close();
  state.shown = picture;
  if (picture.facts.cols) colourLayers();
  draw();
  describeRate();
  document.body.dataset.drawn = picture.number;
}

function colourLayers() {
  const { facts, heat, grid } = state.shown;
  const { saliency_colours, offset_colours } = state.hello;
  const top = state.plan ? state.plan.scale_end : 1;
  const colours = {
    heat: (i) => saliency_colours[heat[i]],
    grid: (i) => offset_colours[Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, (grid[i] + facts.recentre) / top)))],
  };
  for (const layer of LAYERS) {
    const canvas = layers[layer];
    canvas.width = facts.cols;
    canvas.height = facts.rows;
    const image = new ImageData(facts.cols, facts.rows);
    for (let i = 0; i < facts.rows * facts.cols; i++) image.data.set([...colours[layer](i), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

export function draw() {
  const shown = state.shown;
  if (!shown) return;
  const canvas = $("picture");
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.globalAlpha = 1;
  context.filter = $("grey").checked ? "grayscale(1)" : "none";
  context.drawImage(shown.bitmap, 0, 0, width, height);
  context.filter = "none";
  if (shown.facts.cols) {
    const [left, top, wide, high] = state.hello.box;
    for (const layer of LAYERS) {
      const opacity = $(layer).valueAsNumber / 100;
      if (!opacity) continue;
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = layer === "heat";
      context.drawImage(layers[layer], left * width, top * height, wide * width, high * height);
    }
  }
  describeFrame(shown.facts);
  describeBlock();
}

function describeFrame(facts) {
  let text = `Frame ${facts.frame}, ${clock(facts.seconds)}`;
  if (facts.cols) {
    text += `; map ${facts.sample + 1} of ${facts.samples}, segment ${facts.segment + 1} of ${facts.segments}`;
    text += `; mean saliency ${facts.mean_saliency.toFixed(2)}`;
  }
  $("moment").textContent = text;
  $("play").textContent = facts.playing ? "Pause" : "Play";
  $("picture").setAttribute("aria-label", facts.playing ? "The clip, playing" : text);
  if (document.activeElement !== $("seek") || facts.playing) $("seek").value = facts.frame;
  $("seek").setAttribute("aria-valuetext", text);
  Object.assign(document.body.dataset, { frame: facts.frame, playing: facts.playing, dropped: facts.dropped });
}

function describeRate() {
  const now = performance.now();
  drawnAt = [...drawnAt.filter((time) => now - time < RATE_MS), now];
  const { facts } = state.shown;
  const span = (now - drawnAt[0]) / 1000;
  const fps = facts.playing && span > 0.2 ? (drawnAt.length - 1) / span : 0;
  const rate = facts.playing ? `${fps.toFixed(1)} of ${frameRate()} fps shown` : "paused";
  const age = facts.age_ms === undefined ? "" : `; received ${facts.age_ms} ms before it was sent`;
  $("counter").textContent = `${rate}; ${facts.dropped} frames skipped in this view; delay ${facts.delay_ms} ms${age}`;
  document.body.dataset.fps = fps.toFixed(2);
}

export function movePointer(event) {
  const frame = $("picture").getBoundingClientRect();
  // The picture is centred in its element, which may have another aspect ratio.
  const scale = Math.min(frame.width / $("picture").width, frame.height / $("picture").height);
  const wide = scale * $("picture").width;
  const high = scale * $("picture").height;
  const x = (event.clientX - frame.left - (frame.width - wide) / 2) / wide;
  const y = (event.clientY - frame.top - (frame.height - high) / 2) / high;
  state.pointer = x >= 0 && x < 1 && y >= 0 && y < 1 ? [x, y] : null;
  describeBlock();
}

function describeBlock() {
  const { shown, pointer, hello } = state;
  if (!shown || !shown.facts.cols || !pointer) return;
  const [left, top, wide, high] = hello.box;
  const col = Math.floor(((pointer[0] - left) / wide) * shown.facts.cols);
  const row = Math.floor(((pointer[1] - top) / high) * shown.facts.rows);
  const cell = row * shown.facts.cols + col;
  const saliency = (shown.heat[cell] / 255).toFixed(2);
  setText("pointer", `Block ${col}, ${row}: saliency ${saliency}, ${signed(shown.grid[cell] + shown.facts.recentre)} QP`);
}
