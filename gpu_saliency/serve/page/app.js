// The page: it loads the list, listens to events, and loads a job again when an event names it.

import { ask, keepToken, listen, Refused } from "./api.js";
import { advance, clear, count, forget, show } from "./rows.js";

const STATES = ["queued", "running", "done", "failed", "quarantined", "cancelled"];
const PAGE = 50;
const element = (name) => document.getElementById(name);
let filter = null;
let next = null;
const stale = new Set();

function say(text) {
  element("state").textContent = text;
  document.body.dataset.state = text;
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) {
    element("board").hidden = true;
    element("login").hidden = false;
    say("Needs the token");
    return;
  }
  say(error.message);
}

const amount = (bytes) => (bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`);

// The buttons are made once: one that is replaced loses the focus, and a click that is on its way.
const filters = new Map([null, ...STATES].map((state) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = state ?? "";
  button.onclick = () => { filter = state; load().catch(failed); };
  return [state, button];
}));
element("filters").append(...filters.values());

function showStatus(status) {
  const free = Math.min(...Object.values(status.free_bytes));
  const speed = status.frames_per_second > 0 ? `${status.frames_per_second.toFixed(1)} frames/s, ` : "";
  element("facts").textContent = `${speed}${amount(free)} free, version ${status.version}`;
  element("roots").textContent = `Files below ${status.roots.join(", ")}. Relative paths count from the first.`;
  const total = STATES.reduce((sum, state) => sum + status.counts[state], 0);
  for (const [state, button] of filters) {
    button.textContent = state === null ? `all ${total}` : `${state} ${status.counts[state]}`;
    button.setAttribute("aria-pressed", String(state === filter));
  }
  for (const one of status.running) advance({ ...one, id: one.job });
}

async function load(before = null) {
  const query = new URLSearchParams({ limit: PAGE });
  if (filter) query.append("state", filter);
  if (before) query.append("before", before);
  const [page, status] = await Promise.all([ask(`api/jobs?${query}`), ask("api/status")]);
  if (!before) clear();
  for (const job of page.jobs) show(job, failed);
  next = page.next;
  showStatus(status);
  settle();
}

function settle() {
  element("more").hidden = next === null;
  element("none").hidden = count() > 0;
}

// Events come faster than anybody reads: jobs that they name are loaded together, twice a second.
async function refresh() {
  if (!stale.size) return;
  const some = [...stale].slice(0, PAGE);
  for (const id of some) stale.delete(id);
  try {
    const jobs = await Promise.all(some.map((id) => ask(`api/jobs/${id}`)));
    for (const job of jobs) if (!filter || job.state === filter) show(job, failed); else forget(job.id);
    showStatus(await ask("api/status"));
    settle();
  } catch (error) { failed(error); }
}

function onEvent(kind, facts) {
  if (kind === "job") stale.add(facts.id);
  else if (kind === "progress") advance(facts);
  else if (kind === "reset") load().catch(failed);
  else if (kind === "ending") say("The server is ending");
}

async function follow() {
  let last = null;
  for (;;) {
    try {
      last = await listen(last, () => {
        element("login").hidden = true;
        element("board").hidden = false;
        say("Live");
        load().catch(failed);
      }, onEvent);
      say("Connection lost, trying again");
    } catch (error) {
      failed(error);
      if (error instanceof Refused && error.status === 401) return;
    }
    await new Promise((wake) => setTimeout(wake, 2000));
  }
}

element("login").onsubmit = async (event) => {
  event.preventDefault();
  keepToken(element("token").value.trim());
  try {
    await ask("api/status");
    element("login-error").textContent = "";
    follow();
  } catch (error) { element("login-error").textContent = error.message; }
};

// One line is NAME=VALUE; true, false and numbers are sent as such.
function optionsOf(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const [name, value = "true"] = line.replace(/^--/, "").split(/[= ](.*)/s);
    if (value === "true" || value === "false") return [name, value === "true"];
    return [name, value !== "" && Number.isFinite(Number(value)) ? Number(value) : value];
  }));
}

element("submit").onsubmit = async (event) => {
  event.preventDefault();
  const output = element("output").value.trim();
  const rungs = element("rungs").value.split(/\s+/).filter(Boolean);
  const job = { source: element("source").value.trim(), options: optionsOf(element("options").value), priority: Number(element("priority").value) };
  const more = { ...(output ? { output } : {}), ...(rungs.length ? { rungs } : {}) };
  try {
    const taken = await ask("api/jobs", "POST", { ...job, ...more });
    for (const one of taken.jobs) stale.add(one.id);
    element("submit-error").textContent = "";
    element("source").value = element("output").value = "";
    await refresh();
  } catch (error) { element("submit-error").textContent = error.message; }
};

element("more").onclick = () => load(next).catch(failed);
setInterval(refresh, 500);
setInterval(() => { if (document.body.dataset.state === "Live") ask("api/status").then(showStatus, failed); }, 5000);
follow();
