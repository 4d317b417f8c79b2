// Saves the picture, the plan and the settings as files, which the browser downloads.

import { send } from "./connection.js";
import { $, setText, state } from "./state.js";

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  setText("saved", `Saved ${name}`);
}

function baseName() {
  return state.hello.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "clip";
}

function saveFrame() {
  const { comparison, shown } = state;
  if (!shown) return;
  const canvas = $(comparison ? "pair" : "picture");
  const frame = comparison ? comparison.first + comparison.index : shown.facts.frame;
  canvas.toBlob((blob) => save(blob, `${baseName()}.frame${frame}${comparison ? ".compared" : ""}.png`), "image/png");
}

export function savePlan(file) {
  save(new Blob([file], { type: "application/json" }), `${baseName()}.plan.json`);
}

function saveSettings() {
  if (state.plan) save(new Blob([state.plan.settings], { type: "application/toml" }), `${baseName()}.toml`);
}

export function attachSaving() {
  $("save-frame").onclick = saveFrame;
  $("save-plan").onclick = () => send({ type: "plan-file" });
  $("save-settings").onclick = saveSettings;
}
