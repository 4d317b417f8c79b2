// Moves through the clip on the time line: by mouse or finger, which may drag, and by the keys of a slider.

import { closeComparison } from "./compare.js";
import { send } from "./connection.js";
import { $, clock, state } from "./state.js";
import { frameAt, lastFrame, secondsAt } from "./timeline.js";

let drag = null; // {wasPlaying, moved, frame} while the time line is held

export function seekTo(frame) {
  closeComparison();
  send({ type: "seek", number: Math.max(0, Math.min(Math.round(frame), lastFrame())) });
}

export function stepBy(frames) {
  closeComparison();
  send({ type: "step", number: frames });
}

export function attachScrubbing() {
  const line = $("timeline");
  line.addEventListener("pointerdown", (event) => {
    if (event.button || state.hello?.live !== false) return; // a live source cannot seek
    line.setPointerCapture(event.pointerId);
    drag = { wasPlaying: state.shown?.facts.playing, moved: false, frame: frameAt(place(event)) };
    seekTo(drag.frame);
  });
  line.addEventListener("pointermove", (event) => {
    showHover(event);
    if (!drag || frameAt(place(event)) === drag.frame) return;
    if (!drag.moved && drag.wasPlaying) send({ type: "step", number: 0 }); // the clip stands still while it is dragged
    drag.moved = true;
    drag.frame = frameAt(place(event));
    seekTo(drag.frame);
  });
  line.addEventListener("pointerup", release);
  line.addEventListener("pointercancel", release);
  line.addEventListener("pointerleave", () => ($("hover").hidden = true));
  line.addEventListener("keydown", pressKey);
}

function place(event) {
  return event.clientX - $("timeline").getBoundingClientRect().left;
}

function release() {
  if (drag?.moved && drag.wasPlaying) send({ type: "toggle" });
  drag = null;
}

function showHover(event) {
  if (!state.timeline || state.hello.live) return;
  const x = place(event);
  const hover = $("hover");
  const frame = frameAt(x);
  hover.hidden = false;
  hover.textContent = `${clock(secondsAt(frame))}, frame ${frame}${frame > lastFrame() ? ", not analysed yet" : ""}`;
  const most = $("timeline").clientWidth - hover.offsetWidth;
  hover.style.left = `${Math.max(0, Math.min(x + 8, most))}px`;
}

function pressKey(event) {
  const second = Math.max(1, Math.round(state.hello?.frame_rate ?? 1));
  const move = { PageUp: second, PageDown: -second, ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (move === undefined || state.hello?.live !== false) return; // keys.js has the others
  event.preventDefault();
  stepBy(move);
}
