// The keys of the page, which work wherever a control does not need them for itself.

import { cancel, measure } from "./estimate.js";
import { closeComparison, compareSecond } from "./compare.js";
import { draw } from "./picture.js";
import { playOrPause, stepOrMove, toFirst, toLast } from "./playback.js";
import { toggleSound } from "./sound.js";
import { $ } from "./state.js";
import { toggleFull } from "./playback.js";

const shownOpacity = { heat: 45, grid: 60 }; // what the keys h and p restore

const KEYS = {
  " ": playOrPause,
  ArrowLeft: () => stepOrMove(-1),
  ArrowRight: () => stepOrMove(1),
  Home: toFirst,
  End: toLast,
  Escape: closeComparison,
  h: () => toggleLayer("heat"),
  p: () => toggleLayer("grid"),
  o: () => toggleBox("contours"),
  v: () => toggleBox("layers"),
  g: () => toggleBox("grey"),
  f: toggleFull,
  s: toggleSound,
  e: () => measure("clip"),
  m: () => measure("moment"),
  x: compareSecond,
  a: () => measure("auto"),
  c: cancel,
};

function toggleLayer(layer) {
  const opacity = $(layer).valueAsNumber;
  if (opacity) shownOpacity[layer] = opacity;
  $(layer).value = opacity ? 0 : shownOpacity[layer];
  draw();
}

function toggleBox(id) {
  $(id).checked = !$(id).checked;
  draw();
}

// Whether the control uses the key itself.
function takes(control, key) {
  if (!control) return false;
  if (control.matches("input[type=number], select, textarea")) return true;
  if (control.matches("input[type=range]")) return key.startsWith("Arrow") || key === "Home" || key === "End";
  return key === " ";
}

function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const action = KEYS[event.key];
  const isLetter = event.key.length === 1 && event.key !== " ";
  if (!action || (isLetter && !$("letters").checked) || $("main").inert) return;
  const control = event.target.closest?.("input, select, textarea, button");
  if (event.key !== "Escape" && takes(control, event.key)) return;
  event.preventDefault();
  action();
}

export function attachKeys() {
  document.addEventListener("keydown", pressKey);
  // After a click the keys belong to the clip again; who uses the keyboard keeps the focus.
  document.addEventListener("pointerup", () =>
    setTimeout(() => {
      const control = document.activeElement;
      if (control?.matches("button, input[type=range], input[type=checkbox]")) control.blur();
    }),
  );
}
