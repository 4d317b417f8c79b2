// The comparison: the second around the frame, as a plain encode and as one with the plan, in place of the clip.

import { send } from "./connection.js";
import { canMeasure, measure } from "./estimate.js";
import { $, clock, kilobytes, setText, signed, state } from "./state.js";
import { drawTimeline, lengthSeconds, secondsAt } from "./timeline.js";

const GAP = 8; // pixels between the pictures side by side
const NARROW = 700; // below this width, pictures side by side are one above the other
let arriving = null; // the comparison of which pictures are arriving
let timer = 0;

export function compareSecond() {
  if (!canMeasure()) return;
  if (state.shown?.facts.playing) send({ type: "step", number: 0 });
  measure("compare");
}

// Called with the facts of a finished comparison; its pictures follow.
export function startComparison(facts) {
  arriving = { ...facts, pairs: [] };
}

export async function addPair({ facts, plain, plan }) {
  if (!arriving || facts.frame !== arriving.first + arriving.pairs.length) return;
  arriving.pairs.push({ plain, plan });
  if (arriving.pairs.length < arriving.frames) return;
  const found = arriving;
  const { width, height } = await createImageBitmap(plain);
  if (found !== arriving) return;
  const shown = state.shown?.facts.frame ?? found.first;
  const index = Math.max(0, Math.min(shown - found.first, found.frames - 1));
  clearTimeout(timer);
  state.comparison = { ...found, index, size: [width, height], isLooping: false };
  arriving = null;
  setText("play", "Play");
  for (const id of ["pair", "pair-bar"]) $(id).hidden = false;
  $("picture").hidden = true;
  arrange();
  markComparison();
}

export function closeComparison() {
  arriving = null;
  if (!state.comparison) return;
  clearTimeout(timer);
  state.comparison = null;
  for (const id of ["pair", "pair-bar", "pair-left", "pair-right"]) $(id).hidden = true;
  $("picture").hidden = false;
  setText("play", state.shown?.facts.playing ? "Pause" : "Play");
  setAspect($("picture"));
  delete document.body.dataset.compared;
  drawTimeline();
}

export function setAspect(canvas) {
  document.documentElement.style.setProperty("--aspect", canvas.width / canvas.height);
}

export function stepComparison(frames) {
  const { index, frames: count } = state.comparison;
  moveComparison((index + frames + count) % count);
}

export function moveComparison(index) {
  pause();
  show(index);
}

export function loopComparison() {
  if (state.comparison.isLooping) {
    pause();
    return;
  }
  state.comparison.isLooping = true;
  setText("play", "Pause");
  playNext(performance.now());
}

function pause() {
  clearTimeout(timer);
  state.comparison.isLooping = false;
  setText("play", "Play");
}

function playNext(due) {
  const comparison = state.comparison;
  const following = due + 1000 / (state.hello.frame_rate * Number($("speed").value || 1));
  timer = setTimeout(async () => {
    await show((comparison.index + 1) % comparison.frames);
    if (comparison === state.comparison && comparison.isLooping) playNext(Math.max(following, performance.now() - 100));
  }, Math.max(0, following - performance.now()));
}

async function show(index) {
  const comparison = state.comparison;
  comparison.index = index;
  const { plain, plan } = comparison.pairs[index];
  const bitmaps = await Promise.all([plain, plan].map((blob) => createImageBitmap(blob)));
  if (comparison === state.comparison && comparison.index === index) {
    comparison.bitmaps?.forEach((bitmap) => bitmap.close());
    comparison.bitmaps = bitmaps;
    draw();
  }
}

// Chooses the size of the canvas by the view.
function arrange() {
  const [width, height] = state.comparison.size;
  const isBeside = $("pair-view").value === "beside";
  const isStacked = isBeside && width > height && $("stage").clientWidth < NARROW;
  $("pair").width = isBeside && !isStacked ? 2 * width + GAP : width;
  $("pair").height = isStacked ? 2 * height + GAP : height;
  setAspect($("pair"));
  const view = $("pair-view").value;
  $("pair-border-row").hidden = view !== "split";
  $("pair-left").hidden = view === "plan";
  $("pair-right").hidden = view === "plain";
  show(state.comparison.index);
}

function draw() {
  if (!state.comparison?.bitmaps) return;
  const { bitmaps, size, index, first } = state.comparison;
  const canvas = $("pair");
  const context = canvas.getContext("2d");
  const [width, height] = size;
  const [plain, plan] = bitmaps;
  const view = $("pair-view").value;
  const [left, top, zoom] = $("pair-zoom").checked ? subjectCorner(width, height) : [0, 0, 1];
  // The part of a picture that is shown, and where, both as far as `wide` pixels of the canvas.
  const put = (picture, x, y, wide = width) => context.drawImage(picture, left, top, wide / zoom, height / zoom, x, y, wide, height);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = zoom === 1; // enlarged pixels stay what the encoders made of them
  if (view === "beside") {
    put(plain, 0, 0);
    put(plan, canvas.width - width, canvas.height - height);
  } else {
    put(view === "plain" ? plain : plan, 0, 0);
  }
  if (view === "split") {
    const border = Math.round((width * $("pair-border").valueAsNumber) / 100);
    if (border) put(plain, 0, 0, border);
    context.fillStyle = "#fff";
    context.fillRect(border - 1, 0, 2, height);
  }
  canvas.setAttribute("aria-label", `Frame ${first + index}, ${clock(secondsAt(first + index))}: plain encode, and encode with the plan`);
  setText("moment", `Frame ${first + index}, ${clock(secondsAt(first + index))} of ${clock(lengthSeconds())}`);
  document.body.dataset.compared = first + index;
  drawTimeline();
}

// The top left corner of the part around the most salient blocks, and how much it is enlarged.
function subjectCorner(width, height) {
  const { facts, heat } = state.shown;
  const [left, top, wide, high] = state.hello.box;
  let [sum, x, y] = [0, 0, 0];
  for (let i = 0; i < (facts.rows || 0) * (facts.cols || 0); i++) {
    const weight = heat[i] ** 4; // the peak counts, and not the wide ground
    sum += weight;
    x += weight * ((i % facts.cols) + 0.5);
    y += weight * (Math.floor(i / facts.cols) + 0.5);
  }
  const middle = sum ? [left + (wide * x) / sum / facts.cols, top + (high * y) / sum / facts.rows] : [0.5, 0.5];
  const corner = (at, length) => Math.round(Math.max(0, Math.min(at * length - length / 6, (2 * length) / 3)));
  return [corner(middle[0], width), corner(middle[1], height), 3];
}

// States the sizes, and whether the comparison is of the settings that are shown now.
export function markComparison() {
  const { comparison, plan } = state;
  if (!comparison) return;
  const { first, frames, policy, crf, plain_bytes, planned_bytes, size_change } = comparison;
  const isStale = JSON.stringify(policy) !== JSON.stringify(plan.policy) || crf !== (plan.crf ?? crf);
  const sizes = `plain ${kilobytes(plain_bytes)} kB, with the plan ${kilobytes(planned_bytes)} kB (${signed(100 * size_change, 1)} %)`;
  const settings = `offset ${String(policy.offset).replace("-", "\u2212")}, CRF ${+crf.toFixed(2)}`;
  setText("pair-facts", `${isStale ? "Stale, the settings have changed: " : ""}frames ${first} to ${first + frames - 1}, ${settings}: ${sizes}`);
  $("pair-bar").classList.toggle("stale", isStale);
}

export function attachComparison() {
  $("compare").onclick = compareSecond;
  $("pair-close").onclick = closeComparison;
  $("pair-view").onchange = arrange;
  $("pair-border").oninput = draw;
  $("pair-zoom").oninput = draw;
  const drag = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    if ($("pair-view").value !== "split") return;
    const box = $("pair").getBoundingClientRect();
    $("pair-border").value = (100 * (event.clientX - box.left)) / box.width;
    draw();
  };
  $("pair").onpointerdown = (event) => {
    $("pair").setPointerCapture(event.pointerId);
    drag(event);
  };
  $("pair").onpointermove = drag;
  window.addEventListener("resize", () => state.comparison && arrange());
}
