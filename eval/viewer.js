// The viewer of a clip: its video, and over it what was tracked, drawn from the rows in the page.
// It comes after rows.js, in the same module. A `shot` is a picture of the video, from 0; frames and ids count from 1.
const $ = (selector) => document.querySelector(selector);
const TRAIL = 30, TOUCH = 14, AXIS = 30;  // frames; pixels of the page; and of the axis below charts
const video = $("video"), canvas = $("#boxes"), pen = canvas.getContext("2d"), slider = $("#shot");
const charts = [...document.querySelectorAll("svg.frames")];

const colour = (id) => clip.colours[id] ?? "#fff";

let shot = 0, chosen = null, before = null;  // the picture that is shown, the id that is chosen, and the one before it
const frame = () => shots[shot];

/** The picture that is nearest to a frame. */
function shotOf(number) {
  const after = shots.findIndex((other) => other >= number);
  if (after < 1) return after === 0 ? 0 : shots.length - 1;
  return shots[after] - number <= number - shots[after - 1] ? after : after - 1;
}

// ---- pictures

const size = () => video.getBoundingClientRect().width * devicePixelRatio / video.videoWidth * clip.pixels;
const zones = clip.zones.map(({ name, corners, colour }) => {
  const path = new Path2D();
  for (const [x, y] of corners) path.lineTo(x, y);
  path.closePath();
  return { name, corners, colour, path };
});

/** A line over the picture, with a dark rim to show on bright ground; `width` in pixels of the page. */
function trace(path, style, width, strength = 1) {
  const unit = devicePixelRatio / size();
  for (const [ink, wide] of [["#000a", width + 2], [style, width]]) {
    pen.globalAlpha = strength;
    pen.strokeStyle = ink;
    pen.lineWidth = wide * unit;
    pen.stroke(path);
  }
}

/** A tag over a point, or below it. */
function label(text, x, y, style, strength = 1, below = false) {
  const unit = devicePixelRatio / size();
  pen.font = `600 ${12 * unit}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + 8 * unit, high = 16 * unit;
  const left = Math.min(Math.max(0, x), clip.size[1] - wide);
  const top = Math.min(Math.max(0, below ? y : y - high), clip.size[0] - high);
  pen.globalAlpha = strength;
  pen.fillStyle = style;
  pen.fillRect(left, top, wide, high);
  pen.fillStyle = "#000";
  pen.fillText(text, left + 4 * unit, top + 12 * unit);
}

/** The way through rows of one id, broken where it was not seen. */
function way(first, end) {
  const path = new Path2D();
  for (let row = first; row < end; row++) {
    const seen = row > first && frames[row] - frames[row - 1] === 1;
    path[seen ? "lineTo" : "moveTo"](...centre(row));
  }
  return path;
}

function draw() {
  const box = video.getBoundingClientRect(), scale = size();
  canvas.width = box.width * devicePixelRatio;
  canvas.height = box.height * devicePixelRatio;
  if (!video.videoWidth) return;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.lineJoin = pen.lineCap = "round";
  const here = rowsAt.get(frame()) ?? [];
  for (const { name, corners, colour, path } of zones) {
    pen.globalAlpha = 0.07;
    pen.fillStyle = colour;
    pen.fill(path);
    trace(path, colour, 1);
    label(name, ...corners[0], colour, 0.8, true);
  }
  for (const { name, corners: [from, to] } of clip.lines) {
    const path = new Path2D();
    path.moveTo(...from);
    path.lineTo(...to);
    trace(path, "#fff", 2);
    label(name, ...from, "#fff", 0.8, true);
  }
  if (chosen !== null) trace(way(...span.get(chosen)), colour(chosen), 1.5, 0.85);
  for (const row of here) {
    const faint = chosen !== null && ids[row] !== chosen ? 0.3 : 1;
    let first = row;
    while (first > span.get(ids[row])[0] && frames[first - 1] > frame() - TRAIL) first--;
    trace(way(first, row + 1), colour(ids[row]), 1, 0.7 * faint);
  }
  for (const row of here) {
    const faint = chosen !== null && ids[row] !== chosen ? 0.3 : 1;
    const path = new Path2D();
    path.rect(xs[row] / 100, ys[row] / 100, ws[row] / 100, hs[row] / 100);
    trace(path, colour(ids[row]), ids[row] === chosen ? 3 : 2, faint);
    label(ids[row], xs[row] / 100, ys[row] / 100, colour(ids[row]), faint);
  }
}

/** All that goes with the picture that is shown now. */
function show(now) {
  shot = Math.min(Math.max(0, now), shots.length - 1);
  const here = rowsAt.get(frame()) ?? [];
  const inside = zones.map(({ name, path }) => {
    pen.setTransform(1, 0, 0, 1, 0, 0);
    return `${name}: ${here.filter((row) => pen.isPointInPath(path, ...centre(row), "evenodd")).length}`;
  });
  const time = (seconds.get(frame()) ?? 0).toFixed(2);
  draw();
  slider.value = shot;
  slider.setAttribute("aria-valuetext", `frame ${frame()}`);
  $("#now").textContent = [`frame ${frame()}`, `${time} s`, `${here.length} seen`, ...inside].join(" · ");
  for (const chart of charts) {
    const place = `${(100 * (frame() - 0.5)) / clip.length}%`;
    for (const end of ["x1", "x2"]) chart.cursor.setAttribute(end, place);
  }
  if (video.paused) tellEdits();
}

// ---- going through the video

let wanted = 0, asked = 0;  // where to go, and where the video is on its way to: it is asked for one place at a time
function seek(to) {
  video.pause();
  wanted = Math.min(Math.max(0, to), shots.length - 1);
  if (video.seeking) return;
  asked = wanted;
  video.currentTime = (asked + 0.5) / clip.fps;
}
video.addEventListener("seeked", () => {
  show(video.paused ? asked : Math.floor(video.currentTime * clip.fps));
  if (!video.paused) return;
  if (wanted !== asked) seek(wanted);
  else remember();
});
function follow(_, shown) {
  show(Math.round(shown.mediaTime * clip.fps));
  video.requestVideoFrameCallback(follow);
}
function tick() {
  if (!video.paused && !video.seeking) show(Math.floor(video.currentTime * clip.fps + 0.01));
  requestAnimationFrame(tick);
}
const play = () => (video.paused ? video.play() : video.pause());
for (const kind of ["play", "pause"]) {
  video.addEventListener(kind, () => {
    $("#play").textContent = video.paused ? "Play" : "Pause";
    if (!video.paused) return;
    show(shot);
    remember();
  });
}
$("#play").onclick = play;
$("#back").onclick = () => seek(shot - 1);
$("#on").onclick = () => seek(shot + 1);
$("#speed").onchange = (event) => (video.playbackRate = event.target.value);
slider.oninput = () => seek(+slider.value);
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") && event.target !== slider) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) seek(shot + step * (event.shiftKey ? 10 : 1));
  else if (event.key === "Escape") choose(null);
  else if (event.key === " " && !event.target.closest("button, a, summary")) play();
  else return;
  event.preventDefault();
});

// ---- one object

const address = (number, id) => `#frame=${number}${id === null ? "" : `&id=${id}`}`;
function remember() {
  try {
    history.replaceState(null, "", address(frame(), chosen));
  } catch { /* a page within another may have no address of its own */ }
}
const link = (number, id) =>
  Object.assign(document.createElement("a"), { href: address(number, id), textContent: number });
const idOf = (anchor) => Number(new URLSearchParams(anchor.getAttribute("href").slice(1)).get("id"));
const links = [...document.querySelectorAll('a[href*="&id="]')].map((a) => [a.closest("tr") ?? a, idOf(a)]);

function choose(id) {
  if (id !== null && !span.has(id)) id = null;
  if (chosen !== null && id !== chosen) before = chosen;
  chosen = id;
  $("#object").value = id ?? "";
  $("#panel").hidden = id === null;
  for (const [marked, whose] of links) marked.classList.toggle("chosen", whose === id);
  if (id !== null) tell(id);
  if (video.paused) remember();
  draw();
}

/** What is known of an id, and the edits that one would begin with. */
function tell(id) {
  const [first, end] = span.get(id), rows = end - first;
  const mean = scores.subarray(first, end).reduce((sum, value) => sum + value, 0) / rows / 1e4;
  let path = 0;
  for (let row = first + 1; row < end; row++) path += apart(row, row - 1);
  const took = seconds.get(frames[end - 1]) - seconds.get(frames[first]);
  const [units, unit] = clip.scale ?? [1, "px"];
  const facts = {
    "first frame": link(frames[first], id),
    "last frame": link(frames[end - 1], id),
    "frames seen": rows,
    "mean confidence": mean.toFixed(3),
    "path": `${(path * units).toPrecision(4)} ${unit}`,
    "mean speed": took > 0 ? `${((path * units) / took).toPrecision(3)} ${unit}/s` : "–",
  };
  $("#facts").replaceChildren(...Object.entries(facts).flatMap(([word, fact]) => {
    const cells = [document.createElement("dt"), document.createElement("dd")];
    cells.forEach((cell, i) => cell.append([word, fact][i]));
    return cells;
  }));
  const look = $(`img[alt="id ${id}"]`);
  $("#look").hidden = !look;
  if (look) Object.assign($("#look"), { src: look.src, alt: `object ${id}` });
  $("#title").textContent = `Object ${id}`;
  $("#who").style.borderColor = colour(id);
  tellEdits();
}

function tellEdits() {
  if (chosen === null) return;
  const edits = [`- delete: ${chosen}\n`, `- split: ${chosen}\n  from: ${frame()}\n`];
  const two = `[${before}, ${chosen}]`;
  if (before !== null) edits.push(`- swap: ${two}\n  from: ${frame()}\n`, `- merge: ${two}\n`);
  $("#begin").replaceChildren(...edits.map((text) => {
    const button = document.createElement("button");
    button.append(Object.assign(document.createElement("code"), { textContent: text.trim() }));
    button.onclick = () => {
      $("#edits").value += text;
      $("#list").open = true;
    };
    return button;
  }));
}

$("#object").append(...[...span.keys()].map((id) => new Option(`object ${id}`, id)));
$("#object").onchange = (event) => choose(event.target.value ? +event.target.value : null);
$("#close").onclick = () => choose(null);
canvas.onclick = (event) => {
  const box = canvas.getBoundingClientRect(), unit = devicePixelRatio / size();
  const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
  const away = (row) => Math.hypot(...[[x, xs[row], ws[row]], [y, ys[row], hs[row]]].map(([at, from, long]) =>
    Math.max(from / 100 - at, 0, at - (from + long) / 100)));
  const near = (rowsAt.get(frame()) ?? []).filter((row) => away(row) <= TOUCH * unit);
  near.sort((one, other) => away(one) - away(other) || ws[one] * hs[one] - ws[other] * hs[other]);
  choose(near.length && ids[near[0]] !== chosen ? ids[near[0]] : null);
};

// ---- charts and links

for (const chart of charts) {
  chart.cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  chart.cursor.setAttribute("class", "cursor");
  chart.cursor.setAttribute("y2", chart.height.baseVal.value - AXIS);
  chart.append(chart.cursor);
  const scrub = (event) => {
    const box = chart.getBoundingClientRect();
    const number = Math.ceil((clip.length * (event.clientX - box.left)) / box.width);
    if (number > 0 && number <= clip.length) seek(shotOf(number));
  };
  chart.addEventListener("pointerdown", scrub);
  chart.addEventListener("pointermove", (event) => event.buttons && scrub(event));
  chart.addEventListener("dragstart", (event) => event.preventDefault());
  chart.addEventListener("click", (event) => {
    const bar = event.target.closest("a");
    if (!bar || event.detail === 0) return;  // of a keyboard: the link is followed
    event.preventDefault();
    choose(idOf(bar) === chosen ? null : idOf(bar));
  });
}

function visit(hash) {
  const said = new URLSearchParams(hash.slice(1));
  if (said.has("id")) choose(+said.get("id"));
  if (said.has("frame")) seek(shotOf(+said.get("frame")));
  return said.has("frame") || said.has("id");
}
addEventListener("hashchange", (event) => {
  visit(new URL(event.newURL).hash);  // that of the page may be another by now: see `remember`
  $(".viewer").scrollIntoView({ block: "nearest" });
});

// ---- files

function save(name, type, text) {
  const file = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href: file, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(file), 10000);
}
$("#csv").onclick = () => save(`${clip.name}.csv`, "text/csv", table());
$("#yaml").onclick = () => save("edits.yaml", "text/yaml", $("#edits").value);

// ---- begin

const [, base64] = video.src.split(",");
video.src = URL.createObjectURL(new Blob([bytes(base64)], { type: "video/mp4" }));
video.controls = false;
for (const part of document.querySelectorAll(".live")) part.hidden = false;
slider.max = shots.length - 1;
new ResizeObserver(draw).observe(video);
if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(follow);
else tick();
video.addEventListener("loadedmetadata", () => {
  show(0);
  if (visit(location.hash)) return;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) seek(0);
  else video.play().catch(() => seek(0));
}, { once: true });
