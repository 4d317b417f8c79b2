// The state that the modules of the page share, and small helpers.
//
// For tests, document.body.dataset publishes: state, frame, playing, dropped, fps, policy (JSON), drawn (number of the picture that is
// drawn, counted as they arrive), planned (number of the last picture that arrived before the current plan), measured (what trial
// encodes measure, and their state) and stale (whether the estimate is of other settings).

export const LAYERS = ["heat", "grid"];

export const state = {
  hello: null,
  plan: null,
  timeline: null,
  measurement: null, // the latest state of the trial encodes
  estimate: null, // their latest result
  shown: null, // {facts, heat, grid, bitmap} of the picture that is drawn
  pointer: null, // position of the mouse, in fractions of the picture
};

export const $ = (id) => document.getElementById(id);

export function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text; // screen readers announce every change
}

export function signed(value, digits = 2) {
  return (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
}

export function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function clock(seconds) {
  const hundredths = Math.round(seconds * 100);
  return `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

export function frameRate() {
  return +state.hello.frame_rate.toFixed(3);
}
