"use strict";
// Which picture of a trial is which stands in the key, encoded so that reading the page's text does not give it away.
const data = JSON.parse(document.getElementById("data").textContent);
const key = JSON.parse(atob(data.key));
const picture = (number) => "data:image/jpeg;base64," + data.pictures[number];
// Films are given to the browser as blobs, in which it can seek.
const films = data.films.map((film) => URL.createObjectURL(new Blob([Uint8Array.from(atob(film), (c) => c.charCodeAt(0))], { type: "video/mp4" })));
data.films = null;
const find = (name) => document.getElementById(name);
const PLACE = "gpu-saliency-blind-" + data.id;
let state = restore();
let mode = "side", shown = 0, zoomed = false, reference = false, since = Date.now();

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    if (kept && kept.order.length === data.trials.length) return kept;
  } catch { /* No storage, or nothing usable in it: begin anew. */ }
  return fresh();
}
function fresh() {
  const random = (below) => crypto.getRandomValues(new Uint32Array(1))[0] % below;
  const order = data.trials.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return { started: new Date().toISOString(), begun: false, order, swapped: order.map(() => random(2) === 1), votes: [] };
}
function keep() {
  try { localStorage.setItem(PLACE, JSON.stringify(state)); } catch { /* Votes then live until the page is closed. */ }
}

const isDone = () => state.votes.length >= state.order.length;
function sides(turn) {
  const pictures = data.trials[state.order[turn]].both;
  return state.swapped[turn] ? [pictures[1], pictures[0]] : pictures;
}
function show() {
  find("intro").classList.toggle("hide", state.begun);
  find("trial").classList.toggle("hide", !state.begun || isDone());
  find("end").classList.toggle("hide", !isDone());
  const turn = state.votes.length, total = state.order.length;
  find("progress").max = total;
  find("progress").value = turn;
  find("count").textContent = isDone() ? `All ${total} pairs judged` : state.begun ? `Pair ${turn + 1} of ${total}` : `${total} pairs`;
  if (isDone()) tally();
  else if (state.begun) trial(turn);
  Object.assign(document.body.dataset, { ready: "true", votes: turn, total, mode, shown, state: isDone() ? "end" : state.begun ? "trial" : "intro" });
}
function trial(turn) {
  const one = data.trials[state.order[turn]], numbers = sides(turn), pair = find("pair");
  const views = [...pair.querySelectorAll(".view")], isFilm = one.kind === "film";
  document.body.dataset.kind = one.kind;
  views.forEach((view, i) => {
    const number = reference ? one.source : numbers[i];
    const img = view.querySelector("img"), video = view.querySelector("video");
    img.classList.toggle("hide", isFilm);
    video.classList.toggle("hide", !isFilm);
    if (!isFilm) { video.removeAttribute("src"); img.src = picture(number); }
    else if (video.src !== films[number]) { video.src = films[number]; together(); }
    view.querySelector(".tag").textContent = reference ? "Source" : "AB"[i];
    view.classList.toggle("hidden", i !== shown);
  });
  pair.classList.toggle("flip", mode === "flip");
  pair.classList.toggle("zoomed", zoomed);
  pair.style.setProperty("--zoom", zoomed ? 3 : 1);
  find("mode").textContent = mode === "flip" ? "Side by side" : "One place";
  find("swap").disabled = mode !== "flip";
  find("undo").disabled = turn === 0;
  find("reference").setAttribute("aria-pressed", String(reference));
  find("zoom").setAttribute("aria-pressed", String(zoomed));
}

// Starts both films from the beginning once both can play, so that they show the same frame; again when one has ended.
const videos = [...document.querySelectorAll("#pair video")];
let again = 0;
for (const video of videos) video.addEventListener("ended", () => { clearTimeout(again); again = setTimeout(together, 250); });
function together() {
  Promise.all(videos.map((video) => new Promise((ready) => {
    if (video.readyState > 2) ready(); else video.addEventListener("canplay", ready, { once: true });
  }))).then(() => videos.forEach((video) => {
    video.currentTime = 0;
    video.play().catch(() => {}); // A film that was replaced meanwhile.
  }));
}

function vote(name) {
  if (!state.begun || isDone()) return;
  state.votes.push({ choice: name, seconds: Math.round((Date.now() - since) / 100) / 10 });
  reference = false;
  shown = 0;
  since = Date.now();
  if (isDone()) state.finished = new Date().toISOString();
  keep();
  show();
}
function undo() {
  if (!state.votes.length) return;
  state.votes.pop();
  delete state.finished;
  keep();
  show();
}
function judged() {
  return state.votes.map((one, turn) => {
    const trial = state.order[turn], about = key[trial];
    const place = state.swapped[turn] ? 1 - about.plain : about.plain; // 0: the plain encode was left
    const vote = one.choice === "same" ? "same" : (one.choice === "left") === (place === 0) ? "plain" : "roi";
    return { encoder: about.encoder, rate: about.rate, shown: about.shown, size_percent: about.size_percent, plain_side: place === 0 ? "left" : "right", choice: one.choice, vote, seconds: one.seconds };
  });
}
function count(votes) {
  const tally = { roi: 0, same: 0, plain: 0 };
  for (const one of votes) tally[one.vote] += 1;
  return tally;
}
// Two-sided sign test, ties left out: the chance of a split at least this uneven if both were equally liked.
function chance({ roi, plain }) {
  const n = roi + plain, k = Math.max(roi, plain);
  let total = 0, ways = 1;
  for (let i = 0; i <= n; i++) {
    if (i >= k) total += ways;
    ways = ways * (n - i) / (i + 1);
  }
  return n ? Math.min(1, 2 * total / 2 ** n) : 1;
}
function tally() {
  const votes = judged(), all = count(votes), number = votes.length;
  const bar = find("bar");
  bar.replaceChildren(...["roi", "same", "plain"].filter((kind) => all[kind]).map((kind) => {
    const part = document.createElement("div");
    part.className = kind;
    part.style.flexGrow = all[kind];
    part.textContent = { roi: "ROI", same: "No difference", plain: "Plain" }[kind] + " " + all[kind];
    return part;
  }));
  find("verdict").textContent = `Of ${number} pairs the ROI encode was preferred in ${all.roi}, the plain encode in ${all.plain}, and ${all.same} looked the same.`;
  const odds = chance(all);
  find("chance").textContent = all.roi + all.plain ? `If both were equally liked, a split this uneven would come up by chance in ${Math.round(100 * odds)} % of such tests${odds > 0.05 ? ": these votes show no preference." : "."}` : "";
  find("rows").replaceChildren(...votes.map((one) => {
    const row = document.createElement("tr");
    const cells = [one.encoder, one.rate, one.shown, `${one.size_percent >= 0 ? "+" : ""}${one.size_percent.toFixed(2)} %`, { roi: "ROI", plain: "Plain", same: "No difference" }[one.vote]];
    for (const text of cells) row.insertCell().textContent = text;
    return row;
  }));
  Object.assign(document.body.dataset, all);
}
function result() {
  const votes = judged();
  return { page: data.id, source: data.source, started: state.started, finished: state.finished ?? null, tally: count(votes), votes };
}
function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(result(), null, 2)], { type: "application/json" }));
  link.download = `blind-${data.id}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const actions = {
  begin: () => { state.begun = true; since = Date.now(); keep(); show(); },
  left: () => vote("left"), same: () => vote("same"), right: () => vote("right"),
  mode: () => { mode = mode === "flip" ? "side" : "flip"; shown = 0; show(); },
  swap: () => {
    if (mode !== "flip") return;
    videos[1 - shown].currentTime = videos[shown].currentTime;
    shown = 1 - shown;
    show();
  },
  reference: () => { reference = !reference; show(); },
  zoom: () => { zoomed = !zoomed; show(); },
  undo, download,
  again: () => { state = fresh(); state.begun = true; since = Date.now(); keep(); show(); },
};
for (const [name, action] of Object.entries(actions)) find(name).addEventListener("click", action);
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same", ArrowUp: "mode", " ": "swap", s: "reference", z: "zoom", Backspace: "undo" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const name = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (document.body.dataset.state !== "trial" || !name || (event.key === " " && mode !== "flip")) return;
  event.preventDefault();
  actions[name]();
});
find("pair").addEventListener("pointermove", (event) => {
  const view = event.target.closest(".view");
  if (!view || !zoomed) return;
  const box = view.getBoundingClientRect();
  find("pair").style.setProperty("--x", 100 * (event.clientX - box.left) / box.width + "%");
  find("pair").style.setProperty("--y", 100 * (event.clientY - box.top) / box.height + "%");
});
find("pair").addEventListener("click", (event) => { if (event.target.closest(".view")) actions.zoom(); });
find("pair").style.setProperty("--aspect", data.aspect);
show();
