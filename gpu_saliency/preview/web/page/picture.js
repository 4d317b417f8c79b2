// Draws the frame with its layers, and describes it in text.

import { drawLayers, makeLayers } from "./layers.js";
import { $, LAYERS, clock, frameRate, setText, signed, state } from "./state.js";
import { lengthSeconds } from "./timeline.js";

const RATE_MS = 2000; // time over which the shown frames per second are measured
let drawnAt = []; // times in milliseconds of the latest pictures

export function showPicture(picture) {
  if (state.shown) state.shown.bitmap.close();
  state.shown = picture;
  if (picture.facts.cols) makeLayers();
  draw();
  describeRate();
  document.body.dataset.drawn = picture.number;
}

export function draw() {
  for (const layer of LAYERS) setText(`${layer}-value`, `${$(layer).value} %`);
  const shown = state.shown;
  if (!shown) return;
  const canvas = $("picture");
  const context = canvas.getContext("2d");
  context.globalAlpha = 1;
  context.filter = $("grey").checked ? "grayscale(1)" : "none";
  context.drawImage(shown.bitmap, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  if (shown.facts.cols) drawLayers(context, canvas.width, canvas.height);
  describeFrame(shown.facts);
  describeBlock();
}

function describeFrame(facts) {
  const length = state.hello.live ? "" : ` of ${clock(lengthSeconds())}`;
  let text = `Frame ${facts.frame}, ${clock(facts.seconds)}${length}`;
  if (facts.cols) {
    text += `; map ${facts.sample + 1} of ${facts.samples}, segment ${facts.segment + 1} of ${facts.segments}`;
    text += `; mean saliency ${facts.mean_saliency.toFixed(2)}`;
  }
  if (!state.comparison) $("moment").textContent = text;
  if (!state.comparison) setText("play", facts.playing ? "Pause" : "Play");
  $("picture").setAttribute("aria-label", facts.playing ? "The clip, playing" : text);
  if (document.activeElement !== $("seek")) $("seek").value = facts.frame;
  Object.assign(document.body.dataset, { frame: facts.frame, playing: facts.playing, dropped: facts.dropped });
}

function describeRate() {
  const now = performance.now();
  drawnAt = [...drawnAt.filter((time) => now - time < RATE_MS), now];
  const { facts } = state.shown;
  const span = (now - drawnAt[0]) / 1000;
  const fps = facts.playing && span > 0.2 ? (drawnAt.length - 1) / span : 0;
  const rate = facts.playing ? `${fps.toFixed(1)} of ${frameRate()} fps shown` : "Paused";
  const age = facts.age_ms === undefined ? "" : `; received ${facts.age_ms} ms before it was sent`;
  $("counter").textContent = `${rate}; ${facts.dropped} frames skipped in this view; delay ${facts.delay_ms} ms${age}.`;
  document.body.dataset.fps = fps.toFixed(2);
}

export function movePointer(event) {
  const frame = $("picture").getBoundingClientRect();
  const x = (event.clientX - frame.left) / frame.width;
  const y = (event.clientY - frame.top) / frame.height;
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
