// The user's input: playback, layers, the policy, keys, and the command to copy.

import { send } from "./connection.js";
import { attachEstimates, cancel, measure } from "./estimate.js";
import { draw, movePointer } from "./picture.js";
import { $, LAYERS, setText, state } from "./state.js";
import { drawTimeline, frameAt } from "./timeline.js";

const DIALS = ["offset", "share", "mapping", "background", "aggregator", "alpha", "segments", "count", "crf"];
let sharesBits = false; // whether the share was set last, and the offset follows from it
const shownOpacity = { heat: 60, grid: 60 }; // what the keys h and p restore

export function showPolicy(policy, salientBits) {
  sharesBits = salientBits !== null;
  $("offset").value = policy.offset;
  if (sharesBits) $("share").value = percent(salientBits);
  $("mapping").value = policy.mapping;
  $("background").value = policy.max_background_offset;
  $("aggregator").value = policy.aggregator;
  $("alpha").value = policy.ema_alpha;
  const named = ["auto", "clip"].includes(policy.asked_segments);
  $("segments").value = named ? policy.asked_segments : "number";
  if (!named) $("count").value = policy.asked_segments;
  enableControls();
}

// Of offset and share, the one that was not set last follows from the plan.
export function showStrength(plan) {
  const id = sharesBits ? "offset" : "share";
  if (document.activeElement !== $(id)) $(id).value = sharesBits ? plan.policy.offset : percent(plan.share);
  setText("plain-share", `${percent(plan.plain_share)} %`);
}

export function setOffset(offset) {
  $("offset").value = offset;
  sharesBits = false;
  requestPlan();
}

function percent(share) {
  return +(100 * share).toFixed(1);
}

function enableControls() {
  $("background").disabled = $("mapping").value !== "attention";
  $("alpha").disabled = $("aggregator").value !== "ema";
  $("count").disabled = $("segments").value !== "number";
}

function requestPlan() {
  enableControls();
  const follows = sharesBits ? "offset" : "share";
  const invalid = DIALS.find((id) => id !== follows && !$(id).disabled && !$(id).checkValidity());
  if (invalid) {
    setText("error", `${$(invalid).labels[0].textContent.trim()}: ${$(invalid).validationMessage}`);
    return;
  }
  setText("error", "");
  send({
    type: "policy",
    offset: sharesBits ? state.plan?.policy.offset ?? 0 : $("offset").valueAsNumber, // the share replaces it
    mapping: $("mapping").value,
    aggregator: $("aggregator").value,
    salient_bits: sharesBits ? $("share").valueAsNumber / 100 : null,
    max_background_offset: $("background").valueAsNumber,
    crf: $("crf").value === "" ? null : $("crf").valueAsNumber,
    ema_alpha: $("alpha").valueAsNumber,
    segments: $("segments").value === "number" ? String($("count").valueAsNumber) : $("segments").value,
  });
}

function toggleLayer(layer) {
  const opacity = $(layer).valueAsNumber;
  if (opacity) shownOpacity[layer] = opacity;
  $(layer).value = opacity ? 0 : shownOpacity[layer];
  draw();
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText($("command").value);
    setText("copied", "Copied");
  } catch {
    $("command").select(); // without HTTPS or loopback, browsers deny the clipboard
    setText("copied", "Selected; copy it with Ctrl-C");
  }
}

const KEYS = {
  " ": () => send({ type: "toggle" }),
  ArrowLeft: () => send({ type: "step", number: -1 }),
  ArrowRight: () => send({ type: "step", number: 1 }),
  Home: () => send({ type: "seek", number: 0 }),
  End: () => send({ type: "seek", number: $("seek").valueAsNumber >= 0 ? Number($("seek").max) : 0 }),
  h: () => toggleLayer("heat"),
  p: () => toggleLayer("grid"),
  e: () => measure("clip"),
  m: () => measure("moment"),
  a: () => measure("auto"),
  c: cancel,
  g: () => {
    $("grey").checked = !$("grey").checked;
    draw();
  },
};

function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const control = event.target.closest("input, select, textarea, button, summary");
  const takesText = control && control.matches("input[type=number], select, textarea");
  const action = KEYS[event.key];
  // A control's own use of a key has priority.
  if (!action || takesText || (control && (event.key.length > 1 || event.key === " "))) return;
  event.preventDefault();
  action();
}

export function attachControls() {
  $("play").onclick = () => send({ type: "toggle" });
  $("back").onclick = () => send({ type: "step", number: -1 });
  $("forward").onclick = () => send({ type: "step", number: 1 });
  $("first").onclick = () => send({ type: "seek", number: 0 });
  $("seek").oninput = () => send({ type: "seek", number: $("seek").valueAsNumber });
  $("timeline").onclick = (event) => {
    if (!state.hello?.live) send({ type: "seek", number: frameAt(event) }); // a live source cannot seek
  };
  for (const id of LAYERS) $(id).oninput = draw;
  $("grey").onchange = draw;
  for (const id of DIALS) {
    $(id).onchange = () => {
      if (id === "offset" || id === "share") sharesBits = id === "share";
      requestPlan();
    };
  }
  attachEstimates(setOffset);
  $("picture").onpointermove = movePointer;
  $("copy").onclick = copyCommand;
  document.addEventListener("keydown", pressKey);
  window.addEventListener("resize", drawTimeline);
}
