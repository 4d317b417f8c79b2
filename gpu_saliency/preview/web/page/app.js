// The page of `gpu-saliency preview --web`: handles the server's messages.

import { connect, send } from "./connection.js";
import { attachControls, showPolicy, showStrength } from "./controls.js";
import { enableEstimates, markStale, showEncoder, showMeasurement } from "./estimate.js";
import { showPicture } from "./picture.js";
import { $, capitalised, frameRate, setText, signed, state } from "./state.js";
import { drawTimeline } from "./timeline.js";

function handleMessage(message, received) {
  if (message.type === "hello") showClip(message);
  else if (message.type === "timeline") showProgress(message);
  else if (message.type === "plan") showPlan(message, received);
  else if (message.type === "measurement") showMeasurement(message);
  else if (message.type === "error") setText("error", message.message);
}

function handlePicture(picture) {
  showPicture(picture);
  drawTimeline();
  send({ type: "ack", number: picture.facts.frame });
}

function showClip(hello) {
  state.hello = hello;
  document.title = `${hello.name} - gpu-saliency preview`;
  setText("name", hello.name);
  setText("facts", `${hello.width}x${hello.height}, ${frameRate()} fps, ${hello.origin}`);
  [$("picture").width, $("picture").height] = hello.picture;
  for (const [id, names] of [["mapping", hello.mappings], ["aggregator", hello.aggregators]]) {
    $(id).replaceChildren(...names.map((name) => new Option(name, name)));
  }
  $("offset").min = -hello.max_offset;
  $("offset").max = hello.max_offset;
  drawScale($("heat-scale"), hello.saliency_colours);
  drawScale($("grid-scale"), hello.offset_colours);
  showPolicy(hello.policy, hello.salient_bits);
  showEncoder(hello);
  document.body.classList.toggle("live", hello.live);
  setText("state", "Analysing the first frames");
}

function drawScale(canvas, colours) {
  const image = new ImageData(256, 1);
  colours.forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function showProgress(timeline) {
  state.timeline = timeline;
  $("seek").max = Math.max(0, timeline.frames - 1);
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
  showStrength(plan);
  markStale();
  document.body.dataset.policy = JSON.stringify(plan.policy);
  document.body.dataset.planned = received;
  drawTimeline();
}

attachControls();
connect(handleMessage, handlePicture);
