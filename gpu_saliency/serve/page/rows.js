// The list of jobs: one row for each, changed in place.

import { ask, download } from "./api.js";

const list = document.getElementById("jobs");
const template = document.getElementById("row");
const rows = new Map();
const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

function ago(seconds) {
  const passed = Math.max(0, Date.now() / 1000 - seconds);
  if (passed < 90) return `${Math.round(passed)} s ago`;
  if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
  return new Date(seconds * 1000).toLocaleString();
}

function timesOf(job) {
  if (job.state === "queued") return `waits for ${job.stage}, submitted ${ago(job.submitted)}`;
  if (job.state === "running") return `submitted ${ago(job.submitted)}`;
  const took = job.started && job.finished ? `, took ${(job.finished - job.started).toFixed(1)} s` : "";
  return `ended ${ago(job.finished ?? job.submitted)}${took}`;
}

function make(onError) {
  const row = template.content.firstElementChild.cloneNode(true);
  const part = (name) => row.querySelector(`.${name}`);
  const act = (path, method, body) => async () => {
    try { show(await ask(`api/jobs/${row.dataset.id}${path}`, method, body?.())); } catch (error) { onError(error); }
  };
  part("cancel").onclick = act("/cancel", "POST");
  part("retry").onclick = act("/retry", "POST");
  const rank = row.querySelector(".rank input");
  rank.onchange = act("", "PATCH", () => ({ priority: Number(rank.value) }));
  part("details").onclick = async () => {
    const more = part("more");
    more.hidden = !more.hidden;
    part("details").setAttribute("aria-expanded", String(!more.hidden));
    if (more.hidden) return;
    try {
      const job = await ask(`api/jobs/${row.dataset.id}`);
      const result = job.state === "done" ? { result: await ask(`api/jobs/${job.id}/result`) } : {};
      more.textContent = JSON.stringify({ ...job, ...result }, null, 2);
    } catch (error) { onError(error); }
  };
  return row;
}

// One button for each output that is complete; those of a ladder have the names of its rungs.
function showDownloads(place, job, onError) {
  const done = job.outputs.filter((one) => one.done);
  const key = `${job.id} ${done.map((one) => one.path).join(" ")}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(...done.map((one) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "download";
    button.textContent = one.rung === null ? "Download" : `Download ${one.rung}`;
    button.onclick = () => download(`api/jobs/${job.id}/outputs/${one.number}`, nameOf(one.path)).catch(onError);
    return button;
  }));
}

// Shows a job in its row, which is made if there is none; `onError` gets the errors of its buttons.
export function show(job, onError = () => {}) {
  let row = rows.get(job.id);
  if (!row) {
    row = make(onError);
    rows.set(job.id, row);
    const after = [...list.children].find((other) => Number(other.dataset.id) < job.id);
    list.insertBefore(row, after ?? null);
  }
  const part = (name) => row.querySelector(`.${name}`);
  row.dataset.id = job.id;
  row.dataset.state = job.state;
  part("number").textContent = `#${job.id}`;
  part("source").textContent = nameOf(job.source);
  const paths = job.outputs.map((one) => one.path);
  part("output").textContent = `→ ${paths.map(nameOf).join(", ")}`;
  part("name").title = `${job.source} → ${paths.join(", ")}`;
  part("pill").textContent = job.cancel && job.state === "running" ? "being cancelled" : job.state;
  part("pill").className = `pill ${job.state}`;
  part("times").textContent = timesOf(job);
  const isOpen = job.state === "queued" || job.state === "running";
  part("progress").hidden = job.state !== "running";
  part("cancel").hidden = !isOpen;
  part("cancel").disabled = job.cancel;
  part("retry").hidden = !["failed", "quarantined", "cancelled"].includes(job.state);
  showDownloads(part("downloads"), job, onError);
  part("rank").hidden = job.state !== "queued";
  row.querySelector(".rank input").value = job.priority;
  const isBad = job.state === "failed" || job.state === "quarantined";
  part("problem").hidden = !(isBad && job.error);
  part("problem").textContent = isBad && job.error ? job.error.message : "";
}

export function advance({ id, step, done, total }) {
  const row = rows.get(id);
  if (!row) return;
  const bar = row.querySelector("progress");
  if (total) { bar.max = total; bar.value = done; } else { bar.removeAttribute("value"); }
  row.querySelector(".step").textContent = total ? `${step}, ${done} of ${total}` : step;
}

export function forget(id) {
  rows.get(id)?.remove();
  rows.delete(id);
}

export function clear() {
  rows.clear();
  list.replaceChildren();
}

export const count = () => rows.size;
