// The page of `gpu-saliency preview --web`: handles the server's messages.

import { addPair, attachComparison, closeComparison, markComparison, setAspect, startComparison } from "./compare.js";
import { connect, send } from "./connection.js";
import { attachControls, requestPlan, showPolicy, showStrength } from "./controls.js";
import { enableEstimates, markStale, showEncoder, showMeasurement } from "./estimate.js";
import { attachErrors, showError, showValid } from "./fields.js";
import { attachKeys } from "./keys.js";
import { showPicture } from "./picture.js";
import { attachPlayback, sendPlayback } from "./playback.js";
import { attachSaving, savePlan } from "./save.js";
import { attachScrubbing } from "./scrub.js";
import { addSound, keepSoundInTime, showSound, toggleSound } from "./sound.js";
import { $, capitalised, frameRate, setText, signed, state } from "./state.js";
import { drawTimeline, lastFrame } from "./timeline.js";

function handleMessage(message, received) {
  if (message.type === "hello") showClip(message);
  else if (message.type === "timeline") showProgress(message);
  else if (message.type === "plan") showPlan(message, received);
  else if (message.type === "measurement") handleMeasurement(message);
  else if (message.type === "plan-file") savePlan(message.text);
  else if (message.type === "error") showError(message.message, message.setting);
}

function handlePicture(picture) {
  showPicture(picture);
  keepSoundInTime(picture.facts);
  if (!state.comparison) drawTimeline();
  send({ type: "ack", number: picture.facts.frame });
}

function handleMeasurement(message) {
  if (message.comparison) startComparison(message.comparison);
  showMeasurement(message);
}

function showClip(hello) {
  const isSame = state.hello && ["name", "width", "height", "frame_rate", "live"].every((fact) => state.hello[fact] === hello[fact]);
  const frame = state.shown?.facts.frame;
  closeComparison();
  state.hello = hello;
  if (isSame) {
    resume(hello.live, frame);
    return;
  }
  document.title = `${hello.name} - gpu-saliency preview`;
  setText("name", hello.name);
  setText("facts", `${hello.width}x${hello.height}, ${frameRate()} fps, ${hello.origin}`);
  [$("picture").width, $("picture").height] = hello.picture;
  setAspect($("picture"));
  for (const [id, names] of [["mapping", hello.mappings], ["aggregator", hello.aggregators]]) {
    $(id).replaceChildren(...names.map((name) => new Option(name, name)));
  }
  $("speed").replaceChildren(...hello.speeds.map((speed) => new Option(`${speed}\u00d7`, speed, speed === 1, speed === 1)));
  $("offset").min = -hello.max_offset;
  $("offset").max = hello.max_offset;
  drawScale($("heat-scale"), hello.saliency_colours);
  drawScale($("grid-scale"), hello.offset_colours);
  showPolicy(hello.policy, hello.salient_bits);
  showEncoder(hello);
  setText("folder", hello.folder);
  showSound(hello);
  document.body.classList.toggle("live", hello.live);
  if (hello.live) {
    $("timeline").setAttribute("role", "img");
    $("timeline").removeAttribute("tabindex");
    for (const name of ["min", "max", "now", "text"]) $("timeline").removeAttribute(`aria-value${name}`);
  }
  setText("state", "Analysing the first frames");
}

// After a lost connection: the same clip at the same frame, with the settings of the page.
function resume(isLive, frame) {
  sendPlayback();
  requestPlan();
  if (frame !== undefined && !isLive) send({ type: "seek", number: frame });
}

function drawScale(canvas, colours) {
  const image = new ImageData(256, 1);
  colours.forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function showProgress(timeline) {
  state.timeline = timeline;
  $("seek").max = lastFrame();
  $("count").max = Math.max(1, timeline.maps);
  const total = timeline.total ? ` of about ${timeline.total}` : "";
  if (timeline.live !== null && !timeline.error) setText("state", capitalised(timeline.live));
  else if (timeline.error) setText("state", `The analysis ended at frame ${timeline.frames}: ${timeline.error}`);
  else if (timeline.finished) setText("state", `Analysed: ${timeline.frames} frames, ${timeline.maps} maps`);
  else setText("state", `Analysing: ${timeline.frames}${total} frames`);
  const progress = timeline.finished ? "finished" : timeline.error ? "failed" : "analysing";
  document.body.dataset.state = timeline.live !== null ? "live" : progress;
  enableEstimates();
  setText("peak", Math.max(0, ...timeline.mean_saliency.map((point) => point[1])).toFixed(2));
  drawTimeline();
}

function showPlan(plan, received) {
  state.plan = plan;
  const [low, mean, high] = plan.effective.map((value) => signed(value));
  setText("plan", `${plan.segments} segments; ${low} to ${high} QP, mean ${mean}; ${Math.round(100 * plan.improved_blocks)} % of the blocks improved`);
  setText("grid-low", `${signed(-plan.scale_end, 0)} better`);
  setText("grid-high", `${signed(plan.scale_end, 0)} worse`);
  if ($("command").value !== plan.command) {
    $("command").value = plan.command;
    setText("copied", "");
  }
  showValid();
  showStrength(plan);
  markStale();
  markComparison();
  document.body.dataset.policy = JSON.stringify(plan.policy);
  document.body.dataset.planned = received;
  drawTimeline();
}

attachErrors();
attachControls();
attachPlayback();
attachScrubbing();
attachComparison();
attachSaving();
attachKeys();
$("sound").onclick = toggleSound;
window.addEventListener("resize", drawTimeline);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTimeline);
connect({ message: handleMessage, picture: handlePicture, pair: addPair, sound: addSound });
