// Draws the time line: the curve of mean saliency, the segments, the scene changes and the current frame.

import { $, state } from "./state.js";

export function drawTimeline() {
  const { timeline, plan, shown } = state;
  const canvas = $("timeline");
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!timeline) return;
  const begin = timeline.first_frame; // more than 0 for a live source, which keeps only the last seconds
  const x = (frame) => ((frame - begin) / frameTotal()) * width;
  const starts = (plan ? plan.segment_starts : [0]).map((start) => start + begin);
  drawSegments(context, starts.map(x), x(begin + timeline.frames), height);
  drawCurve(context, timeline.mean_saliency, x, height, ratio);
  drawCuts(context, timeline.cuts.map(x), height, ratio);
  if (shown) {
    context.fillStyle = "#ffd34e";
    context.fillRect(Math.min(x(shown.facts.frame), width - 2 * ratio) - ratio, 0, 3 * ratio, height);
  }
  const cuts = timeline.cuts.length;
  const label = `Time line: ${timeline.frames} frames analysed, ${starts.length} segments, ${cuts} scene changes`;
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
}

// The frame at the position of a mouse event on the time line.
export function frameAt(event) {
  return Math.floor((event.offsetX / $("timeline").clientWidth) * frameTotal());
}

function frameTotal() {
  return Math.max(1, state.timeline?.total || 0, state.timeline?.frames || 0);
}

function drawSegments(context, starts, end, height) {
  starts.forEach((start, i) => {
    context.fillStyle = i % 2 ? "#2f3b4a" : "#3f4f63";
    context.fillRect(start, 0, (starts[i + 1] ?? end) - start, height);
  });
}

function drawCurve(context, points, x, height, ratio) {
  const peak = Math.max(1e-6, ...points.map((point) => point[1]));
  context.strokeStyle = "#ffffff";
  context.lineWidth = 2 * ratio;
  context.beginPath();
  points.forEach(([frame, mean], i) => {
    const y = height - 4 - (mean / peak) * (height - 12);
    if (i) context.lineTo(x(frame), y);
    else context.moveTo(x(frame), y);
  });
  context.stroke();
}

function drawCuts(context, cuts, height, ratio) {
  context.lineWidth = ratio;
  context.strokeStyle = "#ff9d3c";
  context.setLineDash([5 * ratio, 3 * ratio]);
  context.beginPath();
  for (const cut of cuts) {
    context.moveTo(cut, 0);
    context.lineTo(cut, height);
  }
  context.stroke();
  context.setLineDash([]);
}
