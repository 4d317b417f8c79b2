// Errors at the fields that they are about.

import { $, setText } from "./state.js";

const FIELDS = { // by the name of the setting on the server
  offset: "offset",
  salient_bits: "share",
  mapping: "mapping",
  max_background_offset: "background",
  aggregator: "aggregator",
  ema_alpha: "alpha",
  segments: "count",
  crf: "crf",
};

export function showError(message, setting) {
  const id = FIELDS[setting];
  if (id && !$(id).disabled) markField(id, message);
  else setText("error", message);
  if (!id) return;
  document.body.classList.add("outdated");
  $("outdated").hidden = false;
}

function markField(id, message) {
  $(id).setAttribute("aria-invalid", "true");
  setText(`${id}-error`, message);
}

// Puts an empty error after each field; a screen reader announces what appears in it.
export function attachErrors() {
  for (const id of Object.values(FIELDS)) {
    const text = Object.assign(document.createElement("p"), { id: `${id}-error`, className: "field-error" });
    text.setAttribute("role", "alert");
    $(id).closest("label").after(text);
    const hint = $(id).getAttribute("aria-describedby");
    $(id).setAttribute("aria-describedby", hint ? `${hint} ${text.id}` : text.id);
  }
}

export function clearErrors() {
  setText("error", "");
  for (const id of Object.values(FIELDS)) {
    $(id).removeAttribute("aria-invalid");
    setText(`${id}-error`, "");
  }
}

export function showValid() {
  document.body.classList.remove("outdated");
  $("outdated").hidden = true;
}
