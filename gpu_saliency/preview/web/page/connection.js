// The WebSocket to the server. The messages are described in wire.py.

import { $, setText } from "./state.js";

const TOO_MANY_VIEWERS = 4001;
const FIRST_WAIT = 1000, LONGEST_WAIT = 30000; // milliseconds between attempts to connect, doubled each time
let socket = null;
let wait = FIRST_WAIT;
let timer = 0;
let handlers = null;

// Calls handlers.message with each JSON message, and picture, pair and sound with {facts, ...} of each binary one, in their order.
export function connect(newHandlers) {
  handlers = newHandlers ?? handlers;
  clearInterval(timer);
  if (socket?.readyState === WebSocket.CONNECTING) return;
  const url = new URL("viewer", location.href);
  url.protocol = "ws:";
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let received = 0;
  let drawing = Promise.resolve();
  socket.onmessage = (event) => {
    wait = FIRST_WAIT;
    showConnected(true);
    if (typeof event.data === "string") {
      handlers.message(JSON.parse(event.data), received);
      return;
    }
    const { facts, body } = parse(event.data);
    if (facts.kind === "sound") handlers.sound({ facts, data: body.slice().buffer });
    else if (facts.kind === "pair") handlers.pair({ facts, plain: jpeg(body.subarray(0, facts.plain)), plan: jpeg(body.subarray(facts.plain)) });
    else {
      const number = ++received;
      // One after the other: browsers may finish decoding images out of order.
      drawing = drawing
        .then(async () => handlers.picture({ number, ...(await parsePicture(facts, body)) }))
        .catch((error) => setText("error", `This frame cannot be shown: ${error}`));
    }
  };
  socket.onclose = (event) => {
    const reason = event.code === TOO_MANY_VIEWERS ? event.reason : "The server has ended, or the connection was lost.";
    setText("state", "Not connected");
    setText("gone-reason", reason);
    document.body.dataset.state = "closed";
    showConnected(false);
    // A random share keeps many pages from coming at once.
    waitAndConnect(wait * (0.75 + 0.5 * Math.random()));
    wait = Math.min(2 * wait, LONGEST_WAIT);
  };
}

export function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// Without a server no control has an effect, so none can be used.
function showConnected(isConnected) {
  if ($("gone").hidden === isConnected) return;
  $("gone").hidden = isConnected;
  $("main").inert = !isConnected;
}

function waitAndConnect(milliseconds) {
  const due = performance.now() + milliseconds;
  const count = () => {
    const seconds = Math.ceil((due - performance.now()) / 1000);
    if (seconds <= 0) connect();
    else if (seconds % 5 === 0 || seconds < 4) setText("gone-wait", `Next attempt in ${seconds} s.`); // not read out each second
  };
  $("reconnect").onclick = () => connect();
  clearInterval(timer);
  timer = setInterval(count, 250);
  setText("gone-wait", `Next attempt in ${Math.ceil(milliseconds / 1000)} s.`);
}

function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { facts, body: new Uint8Array(buffer, 4 + length) };
}

async function parsePicture(facts, body) {
  const cells = (facts.rows || 0) * (facts.cols || 0);
  const grid = body.subarray(cells, 2 * cells);
  return {
    facts,
    heat: body.subarray(0, cells),
    grid: new Int8Array(grid.buffer, grid.byteOffset, cells),
    bitmap: await createImageBitmap(jpeg(body.subarray(2 * cells))),
  };
}

function jpeg(bytes) {
  return new Blob([bytes], { type: "image/jpeg" });
}
