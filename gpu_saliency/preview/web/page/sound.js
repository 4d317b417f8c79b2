// The sound of the clip: pieces from the server, played in time with the pictures, whose clock is the server's.

import { send } from "./connection.js";
import { $, setText, state } from "./state.js";

const TOLERANCE = 0.08; // seconds by which sound and picture may differ before the sound is set anew
const KEPT = 6; // pieces
let context = null; // exists while the sound is on
let pieces = new Map(); // an AudioBuffer by its number; null while it is on its way
let playing = []; // the sources that sound or will
let anchor = null; // {clip, context}: a time of the clip, and when the context plays it
let planned = 0; // number of the piece to be appended next

export function showSound(hello) {
  $("sound").hidden = !hello.sound;
  setText("sound-facts", hello.sound || hello.live ? "" : "This clip has no sound.");
}

export function toggleSound() {
  if (!state.hello?.sound) return;
  if (context) {
    stop();
    context.close();
    context = null;
    pieces = new Map();
  } else {
    context = new AudioContext();
  }
  $("sound").setAttribute("aria-pressed", String(Boolean(context)));
  setText("sound-facts", "");
  publish(context ? "waiting" : "off");
}

export async function addSound({ facts, data }) {
  if (!context) return;
  try {
    pieces.set(facts.piece, data.byteLength ? await context.decodeAudioData(data) : undefined);
  } catch {
    pieces.set(facts.piece, undefined); // silence
  }
}

// Called with each picture that is shown.
export function keepSoundInTime({ playing: isPlaying, seconds }) {
  if (!context) return;
  const isUsual = $("speed").value === "1" && !state.comparison;
  setText("sound-facts", isUsual ? "" : "Sound is played with the clip at its own speed.");
  if (!isPlaying || !isUsual) {
    stop();
    publish("waiting");
    return;
  }
  const number = Math.floor(seconds / state.hello.sound);
  request(number, number + 1);
  const due = seconds + (context.outputLatency || 0);
  const drift = anchor ? anchor.clip + context.currentTime - anchor.context - due : Infinity;
  if (Math.abs(drift) > TOLERANCE) {
    stop();
    if (pieces.get(number) === null) {
      publish("waiting");
      return;
    }
    anchor = { clip: due, context: context.currentTime };
    planned = number;
  }
  append(number + 1);
  publish("on", Math.abs(drift) > TOLERANCE ? 0 : drift);
}

function request(...numbers) {
  for (const number of numbers) {
    if (pieces.has(number)) continue;
    pieces.set(number, null);
    setTimeout(() => pieces.get(number) === null && pieces.delete(number), 3000); // a busy server drops requests
    send({ type: "sound", number });
  }
  for (const number of pieces.keys()) {
    if (pieces.size > KEPT && !numbers.includes(number) && pieces.get(number) !== null) pieces.delete(number);
  }
}

// Appends the pieces up to `last` to what plays; a piece that is missing is silent.
function append(last) {
  for (; planned <= last && pieces.get(planned) !== null; planned++) {
    const buffer = pieces.get(planned);
    if (!buffer) continue;
    const begin = anchor.context + planned * state.hello.sound - anchor.clip; // on the clock of the context
    const late = Math.max(0, context.currentTime - begin);
    if (late >= buffer.duration) continue;
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => (playing = playing.filter((one) => one !== source));
    source.start(begin + late, late);
    playing.push(source);
  }
}

function stop() {
  playing.forEach((source) => source.stop());
  playing = [];
  anchor = null;
}

function publish(sound, drift = 0) {
  Object.assign(document.body.dataset, { sound, drift: drift.toFixed(3), sounding: playing.length });
}
