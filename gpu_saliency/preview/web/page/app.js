// The page of `gpu-saliency preview --web`. What it and the server say to each other: wire.py beside the server.
"use strict";

const $ = (id) => document.getElementById(id);
const LAYERS = ["heat", "grid"];
const state = {
  hello: null,
  plan: null,
  timeline: null,
  shown: null, // {facts, heat, grid, bitmap} of the picture that is drawn
  pointer: null, // where the mouse is, in parts of the picture
  drawn: [], // times, in milliseconds, of the pictures of the last two seconds
  opacity: { heat: 60, grid: 60 }, // what the keys h and p turn on again
};
const small = { heat: document.createElement("canvas"), grid: document.createElement("canvas") };
let socket = null;

function connect() {
  const url = new URL("viewer", location.href);
  url.protocol = "ws:";
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let drawing = Promise.resolve();
  socket.onmessage = (event) => {
    if (typeof event.data === "string") told(JSON.parse(event.data));
    // One after the other: a browser may finish decoding two pictures in another order than it began.
    else drawing = drawing.then(() => pictured(event.data)).catch((error) => say("error", `A picture cannot be shown: ${error}`));
  };
  socket.onclose = (event) => {
    const why = event.code === 4001 ? event.reason : "the server has ended, or the connection is lost; reload to try again";
    say("state", `Not connected: ${why}`);
    document.body.dataset.state = "closed";
  };
}

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text; // a screen reader speaks what changes
}

// ---- from the server

function told(message) {
  if (message.type === "hello") greeted(message);
  else if (message.type === "timeline") analysed(message);
  else if (message.type === "plan") planned(message);
  else if (message.type === "error") say("error", message.message);
}

function greeted(hello) {
  state.hello = hello;
  document.title = `${hello.name} - gpu-saliency preview`;
  say("name", hello.name);
  say("facts", `${hello.width}x${hello.height}, ${+hello.frame_rate.toFixed(3)} fps`);
  [$("picture").width, $("picture").height] = hello.picture;
  for (const [id, names] of [["mapping", hello.mappings], ["aggregator", hello.aggregators]]) {
    $(id).replaceChildren(...names.map((name) => new Option(name, name)));
  }
  $("offset").min = -hello.max_offset;
  $("offset").max = hello.max_offset;
  ramp($("heat-scale"), hello.saliency_colours);
  ramp($("grid-scale"), hello.offset_colours);
  showPolicy(hello.policy);
  document.body.classList.toggle("live", hello.live);
  say("state", "Looking at the first frames");
}

function analysed(timeline) {
  state.timeline = timeline;
  const last = Math.max(0, timeline.frames - 1);
  $("seek").max = last;
  $("count").max = Math.max(1, timeline.maps);
  const of = timeline.total ? ` of about ${timeline.total}` : "";
  if (timeline.live !== null && !timeline.error) say("state", capital(timeline.live));
  else if (timeline.error) say("state", `The analysis ended at frame ${timeline.frames}: ${timeline.error}`);
  else if (timeline.finished) say("state", `Analysed: ${timeline.frames} frames, ${timeline.maps} maps`);
  else $("state").textContent = `Analysing: ${timeline.frames}${of} frames`;
  document.body.dataset.state = timeline.live !== null ? "live" : timeline.finished ? "finished" : timeline.error ? "failed" : "analysing";
  const peak = Math.max(0, ...timeline.mean_saliency.map((point) => point[1]));
  say("peak", peak.toFixed(2));
  drawTimeline();
}

function planned(plan) {
  state.plan = plan;
  const [low, mean, high] = plan.effective.map((value) => signed(value));
  say("plan", `${plan.segments} segments; ${low} to ${high} QP, mean ${mean}; ${Math.round(100 * plan.improved_blocks)} % of the blocks improved`);
  say("grid-low", `${signed(-plan.scale_end, 0)} better`);
  say("grid-high", `${signed(plan.scale_end, 0)} worse`);
  if ($("command").value !== plan.command) {
    $("command").value = plan.command;
    say("copied", "");
  }
  document.body.dataset.policy = JSON.stringify(plan.policy);
  drawTimeline();
}

async function pictured(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const cells = (facts.rows || 0) * (facts.cols || 0);
  const start = 4 + length;
  const heat = new Uint8Array(buffer, start, cells);
  const grid = new Int8Array(buffer, start + cells, cells);
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, start + 2 * cells)], { type: "image/jpeg" }));
  if (state.shown) state.shown.bitmap.close();
  state.shown = { facts, heat, grid, bitmap };
  if (cells) colourLayers();
  draw();
  send({ type: "ack", number: facts.frame });
  count();
}

// ---- drawing

function colourLayers() {
  const { facts, heat, grid } = state.shown;
  const { saliency_colours, offset_colours } = state.hello;
  const top = state.plan ? state.plan.scale_end : 1;
  const colours = {
    heat: (i) => saliency_colours[heat[i]],
    grid: (i) => offset_colours[Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, (grid[i] + facts.recentre) / top)))],
  };
  for (const layer of LAYERS) {
    const canvas = small[layer];
    canvas.width = facts.cols;
    canvas.height = facts.rows;
    const image = new ImageData(facts.cols, facts.rows);
    for (let i = 0; i < facts.rows * facts.cols; i++) image.data.set([...colours[layer](i), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

function draw() {
  const shown = state.shown;
  if (!shown) return;
  const canvas = $("picture");
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.globalAlpha = 1;
  context.filter = $("grey").checked ? "grayscale(1)" : "none";
  context.drawImage(shown.bitmap, 0, 0, width, height);
  context.filter = "none";
  if (shown.facts.cols) {
    const [left, top, wide, high] = state.hello.box;
    for (const layer of LAYERS) {
      const opacity = $(layer).valueAsNumber / 100;
      if (!opacity) continue;
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = layer === "heat";
      context.drawImage(small[layer], left * width, top * height, wide * width, high * height);
    }
  }
  tell(shown.facts);
  tellBlock();
}

function tell(facts) {
  let text = `Frame ${facts.frame}, ${clock(facts.seconds)}`;
  if (facts.cols) {
    text += `; map ${facts.sample + 1} of ${facts.samples}, segment ${facts.segment + 1} of ${facts.segments}`;
    text += `; mean saliency ${facts.mean_saliency.toFixed(2)}`;
  }
  $("moment").textContent = text;
  $("play").textContent = facts.playing ? "Pause" : "Play";
  if (!facts.playing) $("picture").setAttribute("aria-label", text);
  else $("picture").setAttribute("aria-label", "The clip, playing");
  if (document.activeElement !== $("seek") || facts.playing) $("seek").value = facts.frame;
  $("seek").setAttribute("aria-valuetext", text);
  Object.assign(document.body.dataset, { frame: facts.frame, playing: facts.playing, dropped: facts.dropped });
  drawTimeline();
}

function count() {
  const now = performance.now();
  state.drawn = [...state.drawn.filter((time) => now - time < 2000), now];
  const { facts } = state.shown;
  const span = (now - state.drawn[0]) / 1000;
  const fps = facts.playing && span > 0.2 ? (state.drawn.length - 1) / span : 0;
  const rate = facts.playing ? `${fps.toFixed(1)} of ${+state.hello.frame_rate.toFixed(3)} fps shown` : "paused";
  const age = facts.age_ms === undefined ? "" : `, ${facts.age_ms} ms before`;
  $("counter").textContent = `${rate}; ${facts.dropped} frames dropped; ${facts.delay_ms} ms from server to picture${age}`;
  document.body.dataset.fps = fps.toFixed(2);
}

function drawTimeline() {
  const { timeline, plan, shown } = state;
  const canvas = $("timeline");
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!timeline) return;
  const total = Math.max(1, timeline.total || 0, timeline.frames);
  const begin = timeline.first_frame; // of a live source only the last seconds are there
  const x = (frame) => ((frame - begin) / total) * width;
  const starts = (plan ? plan.segment_starts : [0]).map((start) => start + begin);
  const end = begin + timeline.frames;
  starts.forEach((start, i) => {
    context.fillStyle = i % 2 ? "#2f3b4a" : "#3f4f63";
    context.fillRect(x(start), 0, x(starts[i + 1] ?? end) - x(start), height);
  });
  const peak = Math.max(1e-6, ...timeline.mean_saliency.map((point) => point[1]));
  context.strokeStyle = "#ffffff";
  context.lineWidth = 2 * ratio;
  context.beginPath();
  timeline.mean_saliency.forEach(([frame, mean], i) => {
    const y = height - 4 - (mean / peak) * (height - 12);
    if (i) context.lineTo(x(frame), y);
    else context.moveTo(x(frame), y);
  });
  context.stroke();
  context.lineWidth = ratio;
  context.strokeStyle = "#ff9d3c";
  context.setLineDash([5 * ratio, 3 * ratio]);
  context.beginPath();
  for (const cut of timeline.cuts) {
    context.moveTo(x(cut), 0);
    context.lineTo(x(cut), height);
  }
  context.stroke();
  context.setLineDash([]);
  if (shown) {
    context.fillStyle = "#ffd34e";
    context.fillRect(Math.min(x(shown.facts.frame), width - 2 * ratio) - ratio, 0, 3 * ratio, height);
  }
  const cuts = timeline.cuts.length;
  const words = `Time line: ${timeline.frames} frames analysed, ${starts.length} segments, ${cuts} scene changes`;
  if (canvas.getAttribute("aria-label") !== words) canvas.setAttribute("aria-label", words);
}

function ramp(canvas, colours) {
  const image = new ImageData(256, 1);
  colours.forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function signed(value, digits = 2) {
  return (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function clock(seconds) {
  const hundredths = Math.round(seconds * 100);
  return `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

// ---- from the user

function showPolicy(policy) {
  $("offset").value = policy.offset;
  $("mapping").value = policy.mapping;
  $("aggregator").value = policy.aggregator;
  $("alpha").value = policy.ema_alpha;
  const named = ["auto", "clip"].includes(policy.asked_segments);
  $("segments").value = named ? policy.asked_segments : "number";
  if (!named) $("count").value = policy.asked_segments;
  enable();
}

function enable() {
  $("alpha").disabled = $("aggregator").value !== "ema";
  $("count").disabled = $("segments").value !== "number";
}

function askPlan() {
  enable();
  const wrong = ["offset", "alpha", "count"].find((id) => !$(id).disabled && !$(id).checkValidity());
  if (wrong) {
    say("error", `${$(wrong).labels[0].textContent.trim()}: ${$(wrong).validationMessage}`);
    return;
  }
  say("error", "");
  send({
    type: "policy",
    offset: $("offset").valueAsNumber,
    mapping: $("mapping").value,
    aggregator: $("aggregator").value,
    ema_alpha: $("alpha").valueAsNumber,
    segments: $("segments").value === "number" ? String($("count").valueAsNumber) : $("segments").value,
  });
}

function flip(layer) {
  const now = $(layer).valueAsNumber;
  if (now) state.opacity[layer] = now;
  $(layer).value = now ? 0 : state.opacity[layer];
  draw();
}

function pointed(event) {
  const frame = $("picture").getBoundingClientRect();
  // The picture lies in the middle of its element, which may have another shape.
  const scale = Math.min(frame.width / $("picture").width, frame.height / $("picture").height);
  const wide = scale * $("picture").width;
  const high = scale * $("picture").height;
  const x = (event.clientX - frame.left - (frame.width - wide) / 2) / wide;
  const y = (event.clientY - frame.top - (frame.height - high) / 2) / high;
  state.pointer = x >= 0 && x < 1 && y >= 0 && y < 1 ? [x, y] : null;
  tellBlock();
}

function tellBlock() {
  const { shown, pointer, hello } = state;
  if (!shown || !shown.facts.cols || !pointer) return;
  const [left, top, wide, high] = hello.box;
  const col = Math.floor(((pointer[0] - left) / wide) * shown.facts.cols);
  const row = Math.floor(((pointer[1] - top) / high) * shown.facts.rows);
  const cell = row * shown.facts.cols + col;
  const saliency = (shown.heat[cell] / 255).toFixed(2);
  $("pointer").textContent = `Block ${col}, ${row}: saliency ${saliency}, ${signed(shown.grid[cell] + shown.facts.recentre)} QP`;
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("command").value);
    say("copied", "Copied");
  } catch {
    $("command").select(); // beyond loopback a page may not use the clipboard
    say("copied", "Selected; copy it with Ctrl-C");
  }
}

function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const into = event.target.closest("input, select, textarea, button, summary");
  const takesText = into && into.matches("input[type=number], select, textarea");
  const actions = {
    " ": () => send({ type: "toggle" }),
    ArrowLeft: () => send({ type: "step", number: -1 }),
    ArrowRight: () => send({ type: "step", number: 1 }),
    Home: () => send({ type: "seek", number: 0 }),
    End: () => send({ type: "seek", number: $("seek").valueAsNumber >= 0 ? Number($("seek").max) : 0 }),
    h: () => flip("heat"),
    p: () => flip("grid"),
    g: () => {
      $("grey").checked = !$("grey").checked;
      draw();
    },
  };
  const action = actions[event.key];
  // What a control does with a key of its own goes before.
  if (!action || takesText || (into && event.key.length > 1) || (into && event.key === " ")) return;
  event.preventDefault();
  action();
}

function start() {
  $("play").onclick = () => send({ type: "toggle" });
  $("back").onclick = () => send({ type: "step", number: -1 });
  $("forward").onclick = () => send({ type: "step", number: 1 });
  $("first").onclick = () => send({ type: "seek", number: 0 });
  $("seek").oninput = () => send({ type: "seek", number: $("seek").valueAsNumber });
  $("timeline").onclick = (event) => {
    if (state.hello?.live) return; // there is only now
    const total = Math.max(1, state.timeline?.total || 0, state.timeline?.frames || 0);
    send({ type: "seek", number: Math.floor((event.offsetX / $("timeline").clientWidth) * total) });
  };
  for (const id of ["heat", "grid"]) $(id).oninput = draw;
  $("grey").onchange = draw;
  for (const id of ["offset", "mapping", "aggregator", "alpha", "segments", "count"]) $(id).onchange = askPlan;
  $("picture").onpointermove = pointed;
  $("copy").onclick = copy;
  document.addEventListener("keydown", pressed);
  window.addEventListener("resize", drawTimeline);
  connect();
}

start();
