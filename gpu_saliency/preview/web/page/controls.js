// The user's input: layers, the dials of the plan, and the command to copy.

import { send } from "./connection.js";
import { attachEstimates } from "./estimate.js";
import { clearErrors, showError } from "./fields.js";
import { draw, movePointer } from "./picture.js";
import { $, LAYERS, setText, state } from "./state.js";

const DIALS = ["offset", "share", "mapping", "background", "aggregator", "alpha", "segments", "count", "crf"];
const SETTINGS = { share: "salient_bits", background: "max_background_offset", alpha: "ema_alpha", count: "segments" };
let sharesBits = false; // whether the share was set last, and the offset follows from it

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

export function requestPlan() {
  enableControls();
  const follows = sharesBits ? "offset" : "share";
  clearErrors();
  const invalid = DIALS.filter((id) => id !== follows && !$(id).disabled && !$(id).checkValidity());
  for (const id of invalid) showError(`${$(id).labels[0].firstChild.textContent.trim()}: ${$(id).validationMessage}`, SETTINGS[id] ?? id);
  if (invalid.length) return;
  send({
    type: "policy",
    offset: sharesBits ? state.plan?.policy.offset ?? 0 : $("offset").valueAsNumber, // the share replaces it
    mapping: $("mapping").value,
    aggregator: $("aggregator").value,
    salient_bits: sharesBits ? $("share").valueAsNumber / 100 : null,
    max_background_offset: number("background", 0),
    crf: $("crf").value === "" ? null : $("crf").valueAsNumber,
    ema_alpha: number("alpha", 1),
    segments: $("segments").value === "number" ? String($("count").valueAsNumber) : $("segments").value,
  });
}

// The value of a field, which may be empty while it is switched off.
function number(id, missing) {
  return Number.isNaN($(id).valueAsNumber) ? missing : $(id).valueAsNumber;
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

export function attachControls() {
  for (const id of [...LAYERS, "layers", "contours", "grey"]) $(id).oninput = draw;
  for (const id of DIALS) {
    $(id).onchange = () => {
      if (id === "offset" || id === "share") sharesBits = id === "share";
      requestPlan();
    };
  }
  attachEstimates(setOffset);
  $("picture").onpointermove = movePointer;
  $("picture").onpointerdown = movePointer;
  $("copy").onclick = copyCommand;
}
