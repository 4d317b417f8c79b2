// The state that the modules of the page share, and small helpers.
//
// For tests, document.body.dataset publishes: state, frame, playing, dropped, fps, policy (JSON), drawn (number of the picture that is
// drawn, counted as they arrive), planned (number of the last picture that arrived before the current plan), measured (what trial
// encodes measure, and their state), stale (whether the estimate is of other settings), compared (the frame that the comparison shows),
// sound (off, waiting or on) and drift (seconds by which the sound is ahead of the picture).

export const LAYERS = ["heat", "grid"];

export const state = {
  hello: null,
  plan: null,
  timeline: null,
  measurement: null, // the latest state of the trial encodes
  estimate: null, // their latest result
  comparison: null, // {first, frames, ...} and the pairs of pictures that are shown in place of the clip
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

export function kilobytes(bytes) {
  return (bytes / 1000).toFixed(bytes < 100000 ? 1 : 0);
}

export function clock(seconds, digits = 2) {
  const scale = 10 ** digits;
  const parts = Math.round(seconds * scale);
  const rest = ((parts % (60 * scale)) / scale).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(parts / (60 * scale));
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function frameRate() {
  return +state.hello.frame_rate.toFixed(3);
}

// A colour of the style sheet, which follows the light or dark scheme.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
