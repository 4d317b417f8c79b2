// The user's input: playback, layers, the policy, keys, and the command to copy.

import { send } from "./connection.js";
import { draw, movePointer } from "./picture.js";
import { $, LAYERS, setText, state } from "./state.js";
import { drawTimeline, frameAt } from "./timeline.js";

const shownOpacity = { heat: 60, grid: 60 }; // what the keys h and p restore

export function showPolicy(policy) {
  $("offset").value = policy.offset;
  $("mapping").value = policy.mapping;
  $("aggregator").value = policy.aggregator;
  $("alpha").value = policy.ema_alpha;
  const named = ["auto", "clip"].includes(policy.asked_segments);
  $("segments").value = named ? policy.asked_segments : "number";
  if (!named) $("count").value = policy.asked_segments;
  enableControls();
}

function enableControls() {
  $("alpha").disabled = $("aggregator").value !== "ema";
  $("count").disabled = $("segments").value !== "number";
}

function requestPlan() {
  enableControls();
  const invalid = ["offset", "alpha", "count"].find((id) => !$(id).disabled && !$(id).checkValidity());
  if (invalid) {
    setText("error", `${$(invalid).labels[0].textContent.trim()}: ${$(invalid).validationMessage}`);
    return;
  }
  setText("error", "");
  send({
    type: "policy",
    offset: $("offset").valueAsNumber,
    mapping: $("mapping").value,
    aggregator: $("aggregator").value,
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
  for (const id of ["offset", "mapping", "aggregator", "alpha", "segments", "count"]) $(id).onchange = requestPlan;
  $("picture").onpointermove = movePointer;
  $("copy").onclick = copyCommand;
  document.addEventListener("keydown", pressKey);
  window.addEventListener("resize", drawTimeline);
}
