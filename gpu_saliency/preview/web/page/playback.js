// Playing, pausing and stepping: of the comparison if one is shown, else of the clip.

import { loopComparison, moveComparison, stepComparison } from "./compare.js";
import { send } from "./connection.js";
import { seekTo, stepBy } from "./scrub.js";
import { $, state } from "./state.js";
import { lastFrame } from "./timeline.js";

export function playOrPause() {
  if (state.comparison) loopComparison();
  else send({ type: "toggle" });
}

export function stepOrMove(frames) {
  if (state.comparison) stepComparison(frames);
  else stepBy(frames);
}

export function toFirst() {
  if (state.comparison) moveComparison(0);
  else seekTo(0);
}

export function toLast() {
  if (state.comparison) moveComparison(state.comparison.frames - 1);
  else seekTo(lastFrame());
}

export function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("stage").requestFullscreen?.().catch(() => ($("full").disabled = true)); // not on all phones
}

// Tells the server, which plays the clip, what the controls say; a new connection begins with the defaults.
export function sendPlayback() {
  if ($("speed").value !== "1") send({ type: "speed", speed: Number($("speed").value) });
  if (!$("loop").checked) send({ type: "loop", on: false });
}

export function attachPlayback() {
  $("play").onclick = playOrPause;
  $("back").onclick = () => stepOrMove(-1);
  $("forward").onclick = () => stepOrMove(1);
  $("first").onclick = toFirst;
  $("seek").onchange = () => {
    if ($("seek").value !== "") seekTo($("seek").valueAsNumber);
  };
  $("speed").onchange = () => send({ type: "speed", speed: Number($("speed").value) });
  $("loop").onchange = () => send({ type: "loop", on: $("loop").checked });
  $("full").onclick = toggleFull;
  $("full").hidden = !document.fullscreenEnabled;
}
