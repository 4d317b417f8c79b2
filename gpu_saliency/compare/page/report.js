"use strict";
// Pictures are stored once and shown by number; each viewer of class "frames" shows one encoder.
const store = JSON.parse(document.getElementById("data").textContent);
const source = (number) => "data:image/jpeg;base64," + store.pictures[number];

function press(group, index) {
  [...group.querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
}

function choices(box, names, chosen) {
  names.forEach((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => { press(box, i); chosen(i); });
    box.append(button);
  });
  press(box, 0);
}

function viewer(root, data) {
  const find = (name) => root.querySelector("." + name);
  const stage = find("stage"), slider = root.querySelector("input"), maps = find("maps");
  const under = find("under"), over = find("over").firstElementChild;
  let pair = 0, frame = 0, alone = false, zoom = 1;

  const moveTo = (percent) => { slider.value = percent; stage.style.setProperty("--at", percent + "%"); root.dataset.at = percent; };
  function show() {
    const one = data.pairs[pair], shown = one.frames[frame];
    under.src = source(alone ? data.source[frame] : shown.plain);
    under.alt = alone ? "Source frame" : "Plain encode";
    over.src = source(shown.roi);
    find("left").textContent = alone ? "Source" : "Plain, " + one.plain;
    find("right").textContent = "ROI, " + one.roi;
    find("sizes").textContent = one.sizes;
    stage.classList.toggle("alone", alone);
    maps.replaceChildren(...one.maps.map((map, i) => figure(map, shown.maps[i])));
    root.dataset.pair = pair;
    root.dataset.frame = frame;
  }
  function figure(map, number) {
    const box = document.createElement("figure");
    box.innerHTML = "<figcaption></figcaption><img alt=''><div class=scale></div><div class=ends><span></span><span></span><span></span></div><p class='dim small'></p>";
    box.querySelector("figcaption").textContent = map.title;
    box.querySelector("img").src = source(number);
    box.querySelector("img").alt = map.title;
    [...box.querySelectorAll(".ends span")].forEach((span, i) => { span.textContent = map.ends[i]; });
    box.querySelector("p").textContent = map.note;
    return box;
  }

  choices(find("pair"), data.pairs.map((one) => one.name), (i) => { pair = i; show(); });
  choices(find("frame"), data.frames.map(String), (i) => { frame = i; show(); });
  find("source").addEventListener("click", (event) => {
    alone = !alone;
    event.currentTarget.setAttribute("aria-pressed", String(alone));
    show();
  });
  find("zoom").addEventListener("click", (event) => {
    zoom = zoom === 1 ? 3 : 1;
    event.currentTarget.setAttribute("aria-pressed", String(zoom > 1));
    stage.style.setProperty("--zoom", zoom);
  });
  slider.addEventListener("input", () => moveTo(Number(slider.value)));
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    const x = 100 * (event.clientX - box.left) / box.width, y = 100 * (event.clientY - box.top) / box.height;
    if (event.buttons || event.type === "pointerdown") moveTo(Math.round(Math.min(100, Math.max(0, x)) * 10) / 10);
    else if (zoom > 1) { stage.style.setProperty("--x", x + "%"); stage.style.setProperty("--y", y + "%"); }
  };
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", follow);
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  stage.style.setProperty("--aspect", data.aspect);
  moveTo(50);
  show();
}

for (const root of document.querySelectorAll(".frames")) viewer(root, store.viewers[root.dataset.viewer]);
document.body.dataset.ready = "true";
