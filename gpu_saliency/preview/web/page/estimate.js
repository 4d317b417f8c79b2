// The trial encodes: requests, progress, and results, which are stale after a change of the plan or the quality.

import { send } from "./connection.js";
import { $, kilobytes, setText, signed, state } from "./state.js";

const NAMES = { auto: "Auto", compare: "Comparison" };
let applyStrength = null; // sets the offset that auto has found
let autoIsDue = false; // the command line asked for auto

export function attachEstimates(onStrength) {
  applyStrength = onStrength;
  $("clip-estimate").onclick = () => measure("clip");
  $("moment-estimate").onclick = () => measure("moment");
  $("auto").onclick = () => measure("auto");
  $("cancel").onclick = cancel;
}

export function measure(what) {
  if (canMeasure()) send({ type: "measure", what });
}

export function cancel() {
  send({ type: "cancel" });
}

export function showEncoder(hello) {
  autoIsDue = hello.auto;
  if (!hello.quality) return; // a live source
  const { name, low, high, step, crf } = hello.quality;
  setText("encoder", `with ${name}`);
  Object.assign($("crf"), { min: low, max: high, step: step ?? "any", required: crf !== null });
  if (crf !== null) $("crf").value = crf;
  enableEstimates();
}

// Called with each change of the analysis: trial encodes need all of it.
export function enableEstimates() {
  const isActive = ["waiting", "running"].includes(state.measurement?.state);
  for (const id of ["clip-estimate", "moment-estimate", "auto", "compare"]) $(id).disabled = !canMeasure() || isActive;
  $("cancel").disabled = !isActive;
  if (!state.measurement) setText("measuring", canMeasure() ? "" : "Possible when the analysis has finished.");
  if (autoIsDue && canMeasure()) {
    autoIsDue = false;
    measure("auto");
  }
}

export function canMeasure() {
  return Boolean(state.hello?.quality && state.timeline?.finished);
}

export function showMeasurement(message) {
  state.measurement = message;
  document.body.dataset.measured = `${message.what} ${message.state}`;
  showState(message);
  enableEstimates();
  if (message.estimate) showEstimate(message.estimate);
  if (message.strength) applyStrength(message.strength.offset);
}

function showState({ what, state: name, progress, error, strength }) {
  const isActive = name === "waiting" || name === "running";
  $("progress").hidden = !isActive;
  const [stage, done, total] = progress ?? ["starting", 0, null];
  if (total) $("progress").value = done / total;
  else $("progress").removeAttribute("value");
  const texts = {
    waiting: "Waiting for the trial encodes of another viewer",
    running: `${NAMES[what] ?? "Estimate"}: ${stage}`,
    cancelled: "Cancelled",
    failed: `Failed: ${error}`,
    done: strength ? `Auto: ${strength.text}` : "",
  };
  setText("measuring", texts[name]);
}

function showEstimate(estimate) {
  state.estimate = estimate;
  const { plain_bytes, planned_bytes, size_change, plain_vmaf, planned_vmaf, vmaf_missing } = estimate;
  const rows = [["Size, kB", kilobytes(plain_bytes), kilobytes(planned_bytes), `${signed(100 * size_change, 1)} %`]];
  if (plain_vmaf !== null) rows.push(["VMAF v1", plain_vmaf.toFixed(2), planned_vmaf.toFixed(2), signed(planned_vmaf - plain_vmaf)]);
  $("rows").replaceChildren(...rows.map(tableRow));
  setText("missing", vmaf_missing ? `No VMAF: ${vmaf_missing}` : "");
  $("result").hidden = false;
  markStale();
}

// Says whether the estimate is of the plan and the quality that are shown now.
export function markStale() {
  const { estimate, plan } = state;
  if (!estimate || !plan) return;
  const isStale = JSON.stringify(estimate.policy) !== JSON.stringify(plan.policy) || estimate.crf !== (plan.crf ?? estimate.crf);
  $("result").classList.toggle("stale", isStale);
  const { extent, crf, correction } = estimate;
  const used = correction ? `${+crf.toFixed(2)}, with the plan ${+(crf + correction).toFixed(2)}` : +crf.toFixed(2);
  setText("extent", `${isStale ? "Stale, the settings have changed: " : ""}${extent}; offset ${String(estimate.policy.offset).replace("-", "\u2212")}, CRF ${used}`);
  document.body.dataset.stale = isStale;
}

function tableRow([name, ...values]) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head, ...values.map((value) => Object.assign(document.createElement("td"), { textContent: value })));
  return row;
}
