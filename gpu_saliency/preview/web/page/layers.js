// The layers over the picture: saliency and plan as colours, and contours of the saliency.

import { $, LAYERS, state } from "./state.js";

const LEVELS = [0.25, 0.5, 0.75];
const layers = { heat: document.createElement("canvas"), grid: document.createElement("canvas") }; // one pixel per block
let contours = []; // a path for each level, in units of blocks

export function makeLayers() {
  const { facts, heat, grid } = state.shown;
  const { saliency_colours, offset_colours } = state.hello;
  const top = state.plan ? state.plan.scale_end : 1;
  const colours = {
    heat: (i) => saliency_colours[heat[i]],
    grid: (i) => offset_colours[Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, (grid[i] + facts.recentre) / top)))],
  };
  for (const layer of LAYERS) {
    const canvas = layers[layer];
    canvas.width = facts.cols;
    canvas.height = facts.rows;
    const image = new ImageData(facts.cols, facts.rows);
    for (let i = 0; i < facts.rows * facts.cols; i++) image.data.set([...colours[layer](i), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
  contours = LEVELS.map((level) => contour(heat, facts.rows, facts.cols, 255 * level));
}

// Draws the layers that are switched on over the picture in `context`.
export function drawLayers(context, width, height) {
  if (!$("layers").checked) return;
  const { facts } = state.shown;
  const [left, top, wide, high] = state.hello.box;
  for (const layer of LAYERS) {
    const opacity = $(layer).valueAsNumber / 100;
    if (!opacity) continue;
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = layer === "heat";
    context.drawImage(layers[layer], left * width, top * height, wide * width, high * height);
  }
  context.globalAlpha = 1;
  if (!$("contours").checked) return;
  const across = (wide * width) / facts.cols;
  const down = (high * height) / facts.rows;
  const thickness = width / Math.max(1, context.canvas.clientWidth); // of a pixel of the screen
  context.save();
  context.translate(left * width, top * height);
  context.lineCap = context.lineJoin = "round";
  contours.forEach((path, i) => {
    const scaled = new Path2D();
    scaled.addPath(path, new DOMMatrix([across, 0, 0, down, 0, 0]));
    for (const [more, ink] of [[2.5, "#000b"], [0, "#ffd34e"]]) {
      context.lineWidth = (1.25 + i + more) * thickness;
      context.strokeStyle = ink;
      context.stroke(scaled);
    }
  });
  context.restore();
}

// The lines of `level` through the centres of the blocks (marching squares).
function contour(values, rows, cols, level) {
  const path = new Path2D();
  for (let row = 0; row + 1 < rows; row++) {
    for (let col = 0; col + 1 < cols; col++) {
      const at = row * cols + col;
      const corners = [values[at], values[at + 1], values[at + cols + 1], values[at + cols]]; // clockwise
      const places = [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5]];
      const crossings = [];
      for (let i = 0; i < 4; i++) {
        const next = (i + 1) % 4;
        if (corners[i] >= level === corners[next] >= level) continue;
        const part = (level - corners[i]) / (corners[next] - corners[i]);
        crossings.push([0, 1].map((axis) => places[i][axis] + part * (places[next][axis] - places[i][axis]) + [col, row][axis]));
      }
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        path.moveTo(...crossings[i]);
        path.lineTo(...crossings[i + 1]);
      }
    }
  }
  return path;
}
