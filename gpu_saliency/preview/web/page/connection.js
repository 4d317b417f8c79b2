// The WebSocket to the server. The messages are described in wire.py.

import { setText } from "./state.js";

const TOO_MANY_VIEWERS = 4001;
let socket = null;

const FIRST_WAIT = 1000, LONGEST_WAIT = 30000; // milliseconds between attempts to connect, doubled each time
let wait = FIRST_WAIT;

// Calls onMessage with each JSON message, and onPicture with {number, facts, heat, grid, bitmap} of each picture, in their order.
export function connect(onMessage, onPicture) {
  const url = new URL("viewer", location.href);
  url.protocol = "ws:";
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let received = 0;
  let drawing = Promise.resolve();
  socket.onmessage = (event) => {
    wait = FIRST_WAIT;
    if (typeof event.data === "string") {
      onMessage(JSON.parse(event.data), received);
      return;
    }
    const number = ++received;
    // One after the other: browsers may finish decoding images out of order.
    drawing = drawing
      .then(async () => onPicture({ number, ...(await parsePicture(event.data)) }))
      .catch((error) => setText("error", `This frame cannot be shown: ${error}`));
  };
  socket.onclose = (event) => {
    const reason = event.code === TOO_MANY_VIEWERS ? event.reason : "the server has ended or the connection was lost";
    setText("state", `Not connected: ${reason}; trying again every ${wait / 1000} s`);
    document.body.dataset.state = "closed";
    // A random share keeps many pages from coming at once.
    setTimeout(() => connect(onMessage, onPicture), wait * (0.75 + 0.5 * Math.random()));
    wait = Math.min(2 * wait, LONGEST_WAIT);
  };
}

export function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

async function parsePicture(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const cells = (facts.rows || 0) * (facts.cols || 0);
  const start = 4 + length;
  const heat = new Uint8Array(buffer, start, cells);
  const grid = new Int8Array(buffer, start + cells, cells);
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, start + 2 * cells)], { type: "image/jpeg" }));
  return { facts, heat, grid, bitmap };
}
