// The time line: the curve of mean saliency, the segments, the scene changes, the time axis and the current frame.

import { $, clock, colour, setText, state } from "./state.js";

const AXIS = 18; // height of the axis in pixels of the screen
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

export function drawTimeline() {
  const { timeline, plan, shown, comparison } = state;
  const canvas = $("band");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  if (!timeline) return;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const begin = timeline.first_frame; // more than 0 for a live source, which keeps only the last seconds
  const x = (frame) => ((frame - begin) / frameTotal()) * width;
  const floor = height - AXIS;
  const starts = (plan ? plan.segment_starts : [0]).map((start) => start + begin);
  drawSegments(context, starts.map(x), x(begin + timeline.frames), floor);
  drawUnknown(context, x(begin + timeline.frames), width, floor);
  drawCurve(context, timeline.mean_saliency, x, floor);
  drawCuts(context, timeline.cuts.map((cut) => x(cut + begin)), floor);
  drawAxis(context, width, floor);
  if (comparison) {
    context.strokeStyle = colour("head");
    context.lineWidth = 2;
    context.strokeRect(x(comparison.first), 1, x(comparison.first + comparison.frames) - x(comparison.first), floor - 2);
  }
  if (shown) {
    const at = comparison ? comparison.first + comparison.index : shown.facts.frame;
    context.fillStyle = colour("head");
    context.fillRect(Math.min(x(at), width - 2) - 1, 0, 3, floor);
  }
  describe(starts.length, timeline);
}

function describe(segments, timeline) {
  const line = $("timeline");
  const facts = state.shown?.facts;
  if (facts) {
    line.setAttribute("aria-valuemax", lastFrame());
    line.setAttribute("aria-valuenow", facts.frame);
    line.setAttribute("aria-valuetext", $("moment").textContent);
  }
  setText("timeline-facts", `${timeline.frames} frames analysed, ${segments} segments, ${timeline.cuts.length} scene changes.`);
}

export function frameTotal() {
  return Math.max(1, state.timeline?.total || 0, state.timeline?.frames || 0);
}

// The last frame that can be shown.
export function lastFrame() {
  return Math.max(0, (state.timeline?.frames || 0) - 1);
}

// The frame at `x` pixels of the time line.
export function frameAt(x) {
  const frame = Math.floor((x / $("timeline").clientWidth) * frameTotal());
  return Math.max(0, Math.min(frame, frameTotal() - 1));
}

// The time of a frame: that of its map, and the usual distance of frames from there.
export function secondsAt(frame) {
  const rate = state.hello.frame_rate;
  const points = state.timeline?.mean_saliency ?? [];
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= frame) low = middle + 1;
    else high = middle;
  }
  if (!low) return frame / rate;
  const [from, , time] = points[low - 1];
  const next = points[low];
  return time + (next ? ((frame - from) / (next[0] - from)) * (next[2] - time) : (frame - from) / rate);
}

export function lengthSeconds() {
  const { timeline, hello } = state;
  if (!timeline) return 0;
  return timeline.finished ? timeline.seconds : Math.max(timeline.seconds, secondsAt(frameTotal() - 1) + 1 / hello.frame_rate);
}

function drawSegments(context, starts, end, floor) {
  const edge = colour("edge");
  starts.forEach((start, i) => {
    context.fillStyle = colour(i % 2 ? "band-b" : "band-a");
    context.fillRect(start, 0, (starts[i + 1] ?? end) - start, floor);
    context.fillStyle = edge;
    if (i) context.fillRect(start, 0, 1, 6);
  });
}

function drawUnknown(context, start, end, floor) {
  if (end - start < 1) return;
  context.save();
  context.beginPath();
  context.rect(start, 0, end - start, floor);
  context.clip();
  context.strokeStyle = colour("edge");
  context.beginPath();
  for (let x = start - floor; x < end; x += 9) {
    context.moveTo(x, floor);
    context.lineTo(x + floor, 0);
  }
  context.stroke();
  context.restore();
}

function drawCurve(context, points, x, floor) {
  const peak = Math.max(1e-6, ...points.map((point) => point[1]));
  context.strokeStyle = colour("curve");
  context.lineWidth = 2;
  context.beginPath();
  points.forEach(([frame, mean], i) => {
    const y = floor - 4 - (mean / peak) * (floor - 14);
    if (i) context.lineTo(x(frame), y);
    else context.moveTo(x(frame), y);
  });
  context.stroke();
}

function drawCuts(context, cuts, floor) {
  context.lineWidth = 1;
  context.strokeStyle = colour("cut");
  context.setLineDash([5, 3]);
  context.beginPath();
  for (const cut of cuts) {
    const x = Math.round(cut) + 0.5; // the middle of a pixel, or the line would be pale
    context.moveTo(x, 0);
    context.lineTo(x, floor);
  }
  context.stroke();
  context.setLineDash([]);
}

function drawAxis(context, width, floor) {
  if (state.hello.live) return;
  const length = lengthSeconds();
  const step = STEPS.find((one) => (one / length) * width >= 64) ?? STEPS.at(-1);
  context.fillStyle = colour("dim");
  context.font = '12px system-ui, "DejaVu Sans", sans-serif';
  const last = clock(length, 1);
  const room = width - context.measureText(last).width - 8; // the length is written at the end
  for (let i = 0; i * step < length; i++) {
    const at = (i * step / length) * width;
    context.fillRect(at, floor, 1, 4);
    const text = clock(i * step, step < 1 ? 1 : 0);
    if (at + context.measureText(text).width + 6 < room) context.fillText(text, at + 3, floor + 13);
  }
  context.fillStyle = colour("ink");
  context.fillText(last, width - context.measureText(last).width - 1, floor + 13);
}
