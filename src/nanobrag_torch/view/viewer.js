"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const TYPES = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array,
                int32: Int32Array, float32: Float32Array, float64: Float64Array };
const STEPS = 4096;
const NUMBERS_FROM = 44;       // screen pixels per image pixel from which values are written into the pixels
const NOT_MEASURED = [196, 208, 232];
const SPOTS = { predicted: "#c2185b", observed: "#0a7f3c" };
const NEAR = 9;                // screen pixels around a reflection in which it is named
const panes = [];
let active = 0;

// ---- pixels ---------------------------------------------------------------------------------------------------
async function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return new Uint8Array(await (await fetch("data:application/octet-stream;base64," + text)).arrayBuffer());
}

async function pixelsOf(index, info) {
  const element = byId("data" + index);
  const stream = new Blob([await bytesOf(element.textContent)]).stream().pipeThrough(new DecompressionStream("deflate"));
  element.remove();
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = TYPES[info.type].BYTES_PER_ELEMENT, count = info.fast * info.slow;
  if (planes.length !== size * count) throw new Error(info.name + ": the data are damaged");
  if (size === 1) return new TYPES[info.type](planes.buffer);
  const whole = new Uint8Array(planes.length);
  for (let b = 0; b < size; b++)
    for (let i = 0, from = b * count, to = b; i < count; i++, from++, to += size) whole[to] = planes[from];
  return new TYPES[info.type](whole.buffer);
}

// ---- smaller copies for zooming out ---------------------------------------------------------------------------
const larger = (a, b) => (a > b ? a : b), farther = (a, b) => (Math.abs(a) > Math.abs(b) ? a : b);
function halved(level, pool, more) {
  const { data, w, h } = level, w2 = (w + 1) >> 1, h2 = (h + 1) >> 1;
  const out = new Float32Array(w2 * h2), mean = pool === "average";
  for (let y = 0; y < h2; y++) {
    const r0 = 2 * y * w, r1 = Math.min(2 * y + 1, h - 1) * w;
    for (let x = 0; x < w2; x++) {
      const c0 = 2 * x, c1 = Math.min(c0 + 1, w - 1);
      const a = data[r0 + c0], b = data[r0 + c1], c = data[r1 + c0], d = data[r1 + c1];
      if (mean) out[y * w2 + x] = (a + b + c + d) / 4;
      else { const m = more(a, b), n = more(c, d); out[y * w2 + x] = more(m, n); }
    }
  }
  return { data: out, w: w2, h: h2 };
}

function levelOf(pane, k) {
  const pool = byId("pool").value, levels = pane.levels[pool] || (pane.levels[pool] = [pane.base]);
  while (levels.length <= k && levels[levels.length - 1].w > 1) levels.push(halved(levels[levels.length - 1], pool, pane.info.diverging ? farther : larger));
  return Math.min(k, levels.length - 1);
}

// ---- colours --------------------------------------------------------------------------------------------------
function colour(t) {           // t from 0 (background) to 1
  const name = byId("colours").value;
  if (name === "heat") return [255 * Math.min(1, 3 * t), 255 * Math.min(1, Math.max(0, 3 * t - 1)), 255 * Math.max(0, 3 * t - 2)];
  const grey = name === "dark on white" ? 255 * (1 - t) : 255 * t;
  return [grey, grey, grey];
}

function packedColour([r, g, b]) { return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r); }

function palette() {
  const table = new Uint32Array(STEPS + 1);
  for (let i = 0; i <= STEPS; i++) table[i] = packedColour(colour(palette.curve(i / STEPS)));
  return table;
}
palette.curve = (x) => {
  const name = byId("curve").value;
  return name === "linear" ? x : name === "logarithm" ? Math.log1p(999 * x) / Math.log(1000) : Math.sqrt(x);
};

function divergingPalette() {   // first the negative values from the largest to 0, then the positive ones
  const table = new Uint32Array(2 * STEPS + 1), curve = palette.curve;
  for (let i = 0; i <= STEPS; i++) {
    const fade = 255 * (1 - curve(i / STEPS));
    table[STEPS + i] = packedColour([255, fade, fade]);
    table[STEPS - i] = packedColour([fade, fade, 255]);
  }
  return table;
}

// ---- contrast -------------------------------------------------------------------------------------------------
// info.levels: percentiles 0 to 100 of the values > 0, the 99.9th, and the largest.
// A film has the contrast of its brightest image throughout; a difference has its own.
const source = (pane) => (byId("same").checked && !pane.info.diverging ? panes[0] : pane).levelled;
const sliderWhite = (info, t) => { const p = t / 10, i = Math.min(99, Math.floor(p)); return info.levels[i] + (p - i) * (info.levels[i + 1] - info.levels[i]); };
function sliderBlack(info, low, t) { return low + Math.max(info.levels[102] - low, 1e-300) * Math.pow(10, -6 * (t / 1000)); }
function blackSlider(info, low, value) {
  const share = (value - low) / (info.levels[102] - low);
  return share > 0 ? Math.max(0, Math.min(1000, Math.round(-1000 / 6 * Math.log10(share)))) : 500;
}
let typed = null;              // [low, high] typed by hand
function range(pane) {
  if (pane.info.diverging) return [0, sliderBlack(source(pane), 0, +byId("black").value)];
  if (typed) return typed;
  const info = source(pane), low = sliderWhite(info, +byId("white").value);
  const high = sliderBlack(info, low, +byId("black").value);
  return [low, high > low ? high : low + 1];
}

// ---- drawing --------------------------------------------------------------------------------------------------
function draw(pane, plain) {
  const { canvas, view } = pane, { diverging } = pane.info, table = diverging ? divergingPalette() : plain, W = canvas.width, H = canvas.height;
  if (!W || !H) return;
  const picture = pane.pen.createImageData(W, H), out = new Uint32Array(picture.data.buffer);
  const wanted = view.scale < 1 ? Math.floor(Math.log2(1 / view.scale) + 1e-9) : 0;
  const k = levelOf(pane, wanted), level = pane.levels[byId("pool").value][k], { data, w, h } = level;
  const [low, high] = range(pane), gain = STEPS / (high - low), zoom = view.scale * (1 << k);
  const masked = packedColour(NOT_MEASURED), negatives = Object.keys(pane.info.meanings).length > 0;
  const columns = new Int32Array(W);
  for (let x = 0; x < W; x++) { const c = Math.floor((x + 0.5) / zoom + view.x / (1 << k)); columns[x] = c >= 0 && c < w && inside(view.x + (x + 0.5) / view.scale, pane.info.fast) ? c : -1; }
  for (let y = 0; y < H; y++) {
    const r = Math.floor((y + 0.5) / zoom + view.y / (1 << k));
    if (r < 0 || r >= h || !inside(view.y + (y + 0.5) / view.scale, pane.info.slow)) continue;
    const row = r * w;
    for (let x = 0, o = y * W; x < W; x++, o++) {
      const c = columns[x];
      if (c < 0) continue;
      const v = data[row + c];
      if (v !== v || (negatives && v < 0)) { out[o] = masked; continue; }
      const t = (v - low) * gain;
      if (diverging) out[o] = table[STEPS + (t < -STEPS ? -STEPS : t > STEPS ? STEPS : t | 0)];
      else out[o] = table[t < 0 ? 0 : t > STEPS ? STEPS : t | 0];
    }
  }
  pane.pen.putImageData(picture, 0, 0);
  overlay(pane);
}
const inside = (place, size) => place >= 0 && place < size;

function overlay(pane) {
  const { view, info, over } = pane, W = pane.canvas.width, H = pane.canvas.height;
  const sx = (x) => (x - view.x) * view.scale, sy = (y) => (y - view.y) * view.scale;
  over.clearRect(0, 0, W, H);
  over.font = "12px system-ui, sans-serif"; over.textAlign = "center"; over.textBaseline = "middle";
  if (byId("rings").checked) for (const ring of info.rings || []) {
    over.strokeStyle = over.fillStyle = "#d66014"; over.lineWidth = 1.2;
    let top = null;
    for (const line of ring.lines) {
      over.beginPath();
      for (const [x, y] of line) {
        const px = sx(x), py = sy(y);
        over.lineTo(px, py);
        if (px > 20 && px < W - 20 && py > 8 && py < H - 8 && (!top || py < top[1])) top = [px, py];
      }
      over.stroke();
    }
    if (top) { over.lineWidth = 4; over.strokeStyle = "#fff"; const text = ring.d + " Å"; over.strokeText(text, ...top); over.fillText(text, ...top); }
  }
  if (byId("beam").checked && info.beam) {
    const [x, y] = [sx(info.beam[0]), sy(info.beam[1])];
    over.strokeStyle = "#1860c8"; over.lineWidth = 1.5;
    over.beginPath(); over.moveTo(x - 9, y); over.lineTo(x + 9, y); over.moveTo(x, y - 9); over.lineTo(x, y + 9); over.stroke();
  }
  for (const { kind, places } of info.spots) if (byId(kind).checked) {
    const size = Math.max(5, Math.min(14, 3 * view.scale));
    over.strokeStyle = SPOTS[kind]; over.lineWidth = 1.4;
    for (const [x, y] of places) {
      over.beginPath();
      if (kind === "observed") over.arc(sx(x), sy(y), size, 0, 2 * Math.PI);
      else over.rect(sx(x) - size, sy(y) - size, 2 * size, 2 * size);
      over.stroke();
    }
  }
  if (view.scale >= NUMBERS_FROM) {
    over.font = "10px ui-monospace, monospace"; over.lineWidth = 2.5; over.strokeStyle = "#fff"; over.fillStyle = "#222";
    for (let y = Math.max(0, Math.floor(view.y)); y < Math.min(info.slow, view.y + H / view.scale); y++)
      for (let x = Math.max(0, Math.floor(view.x)); x < Math.min(info.fast, view.x + W / view.scale); x++) {
        const v = pane.base.data[y * info.fast + x], text = Number.isInteger(v) ? String(v) : v.toPrecision(3);
        over.strokeText(text, sx(x + 0.5), sy(y + 0.5)); over.fillText(text, sx(x + 0.5), sy(y + 0.5));
      }
  }
}

let pending = false;
function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; drawAll(); });
}
function drawAll() {
  const table = palette();
  for (const pane of panes) draw(pane, table);
  const [low, high] = range(panes[active]);
  for (const [id, value] of [["low", low], ["high", high]]) if (document.activeElement !== byId(id)) byId(id).value = String(+value.toPrecision(4));
}

// ---- view -----------------------------------------------------------------------------------------------------
function fitView(pane) {
  const { fast, slow } = pane.info, scale = Math.min(pane.canvas.width / fast, pane.canvas.height / slow) || 1;
  pane.view = { scale, x: fast / 2 - pane.canvas.width / scale / 2, y: slow / 2 - pane.canvas.height / scale / 2 };
}
function moved(pane) {
  pane.whole = false;
  if (byId("linked").checked) for (const other of panes) if (other !== pane) { other.view = { ...pane.view }; other.whole = false; }
  redraw();
}
function zoomAt(pane, factor, px, py) {
  const v = pane.view, scale = Math.min(200, Math.max(0.01, v.scale * factor));
  v.x += px / v.scale - px / scale; v.y += py / v.scale - py / scale; v.scale = scale;
  moved(pane);
}
function zoomTo(pane, scale) { zoomAt(pane, scale / pane.view.scale, pane.canvas.width / 2, pane.canvas.height / 2); }

// ---- read-out -------------------------------------------------------------------------------------------------
function exact(value, type) {  // the shortest decimal that is this very number of its type
  if (type !== "float32" || !Number.isFinite(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) if (Math.fround(+value.toPrecision(digits)) === value) return String(+value.toPrecision(digits));
  return String(+value.toPrecision(9));
}
function read(index, fast, slow) {
  const { info, base } = panes[index];
  if (!(fast >= 0 && fast < info.fast && slow >= 0 && slow < info.slow)) return null;
  const value = base.data[slow * info.fast + fast], result = { image: info.name, fast, slow, value, intensity: exact(value, info.type) };
  result.meaning = info.meanings[String(value)] || (Number.isNaN(value) ? "not measured" : "");
  const g = info.geometry;
  if (!g) return result;
  const place = [0, 1, 2].map((i) => g.origin[i] + (fast + 0.5) * g.fast[i] + (slow + 0.5) * g.slow[i]);
  const length = Math.hypot(...place), S = place.map((x, i) => (x / length - g.beam[i]) / g.wavelength);
  result.d = 1 / Math.hypot(...S);
  if (g.cell) result.hkl = g.cell.map((row) => row[0] * S[0] + row[1] * S[1] + row[2] * S[2]);
  return result;
}
const dText = (d) => (d > 9999 ? "∞" : d.toFixed(d < 10 ? 3 : 2));
function line(r) {
  if (!r) return "";
  let text = `fast ${r.fast}  slow ${r.slow}  intensity ${r.intensity}${r.meaning ? " (" + r.meaning + ")" : ""}`;
  if (r.d !== undefined) text += `  d ${dText(r.d)} Å`;
  if (r.hkl) text += `  h k l ${r.hkl.map((x) => x.toFixed(3)).join(" ")}`;
  return text;
}
function named(pane, px, py) { // the reflections under the mouse
  const found = [];
  for (const { kind, places, hkl } of pane.info.spots) if (byId(kind).checked) places.forEach(([x, y], i) => {
    if (Math.hypot((x - pane.view.x) * pane.view.scale - px, (y - pane.view.y) * pane.view.scale - py) < NEAR)
      found.push(`  ${kind} ${hkl[i].some((h) => h) ? hkl[i].join(" ") : "without indices"}`);
  });
  return found.join("");
}
function pixelAt(pane, px, py) { return [Math.floor(pane.view.x + px / pane.view.scale), Math.floor(pane.view.y + py / pane.view.scale)]; }
function hover(index, px, py) {
  const [fast, slow] = pixelAt(panes[index], px, py), together = byId("linked").checked;
  panes.forEach((pane, i) => { pane.readout.textContent = i === index || together ? line(read(i, fast, slow)) + (i === index ? named(pane, px, py) : "") : ""; });
}
function keep(index, px, py) {
  const r = read(index, ...pixelAt(panes[index], px, py));
  if (!r) return;
  const row = byId("kept").querySelector("tbody").insertRow();
  for (const x of [r.image, r.fast, r.slow, r.intensity, r.d === undefined ? "" : dText(r.d), ...(r.hkl || ["", "", ""]).map((h) => (h === "" ? "" : h.toFixed(3)))])
    row.insertCell().textContent = x;
  if (byId("kept").hidden) { byId("kept").hidden = false; }
}

// ---- panes ----------------------------------------------------------------------------------------------------
function element(tag, className, parent) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  parent.append(e);
  return e;
}
function caption(c, info) {
  c.replaceChildren();
  element("b", "", c).textContent = info.name;
  const words = [`${info.fast} × ${info.slow} pixels`];
  if (info.geometry) words.push(...(info.geometry.distance === null ? [] : [`${+info.geometry.distance.toPrecision(6)} mm`]), `λ ${+info.geometry.wavelength.toPrecision(6)} Å`);
  c.append(words.join(", "));
  element("span", "notes", c).textContent = info.notes.join("; ");
  c.title = c.textContent;
}
function makePane(info, index) {
  const figure = element("figure", "", byId("panes"));
  const title = element("figcaption", "", figure);
  caption(title, info);
  const stage = element("div", "stage", figure);
  stage.tabIndex = 0; stage.setAttribute("role", "img"); stage.setAttribute("aria-label", info.name);
  const canvas = element("canvas", "", stage), cover = element("canvas", "", stage);
  const pane = { info, levelled: info, title, stage, canvas, cover, pen: canvas.getContext("2d"), over: cover.getContext("2d"), readout: element("div", "readout", figure), levels: {}, view: null };
  const at = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  let drag = null;
  stage.addEventListener("wheel", (e) => { e.preventDefault(); zoomAt(pane, Math.pow(1.0015, -e.deltaY), ...at(e)); hover(index, ...at(e)); }, { passive: false });
  stage.addEventListener("pointerdown", (e) => { if (e.button) return; active = index; drag = { start: at(e), last: at(e), far: false }; stage.setPointerCapture(e.pointerId); });
  stage.addEventListener("pointermove", (e) => {
    const p = at(e);
    if (drag) {
      if (Math.hypot(p[0] - drag.start[0], p[1] - drag.start[1]) > 3) drag.far = true;
      if (drag.far) { pane.view.x -= (p[0] - drag.last[0]) / pane.view.scale; pane.view.y -= (p[1] - drag.last[1]) / pane.view.scale; moved(pane); }
      drag.last = p;
    }
    hover(index, ...p);
  });
  stage.addEventListener("pointerup", (e) => { if (drag && !drag.far) keep(index, ...at(e)); drag = null; });
  stage.addEventListener("pointercancel", () => { drag = null; });
  stage.addEventListener("dblclick", (e) => zoomAt(pane, 2, ...at(e)));
  stage.addEventListener("keydown", (e) => {
    const step = 60 / pane.view.scale, v = pane.view, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    active = index;
    if (moves[e.key]) { v.x += moves[e.key][0]; v.y += moves[e.key][1]; moved(pane); }
    else if (e.key === "+" || e.key === "=") zoomTo(pane, v.scale * 1.5);
    else if (e.key === "-") zoomTo(pane, v.scale / 1.5);
    else if (e.key === "0") fitAll();
    else if (e.key === "1") zoomTo(pane, 1);
    else return;
    e.preventDefault();
  });
  return pane;
}
function resize(pane) {
  const box = pane.stage.getBoundingClientRect(), W = Math.max(1, Math.floor(box.width)), H = Math.max(1, Math.floor(box.height));
  if (pane.canvas.width === W && pane.canvas.height === H && pane.view) return;
  const whole = !pane.view || pane.whole, centre = pane.view && [pane.view.x + pane.canvas.width / pane.view.scale / 2, pane.view.y + pane.canvas.height / pane.view.scale / 2];
  for (const c of [pane.canvas, pane.cover]) { c.width = W; c.height = H; c.style.width = W + "px"; c.style.height = H + "px"; }
  if (whole) fitView(pane);
  else { pane.view.x = centre[0] - W / pane.view.scale / 2; pane.view.y = centre[1] - H / pane.view.scale / 2; }
  redraw();
}
function fitAll() { for (const pane of panes) { fitView(pane); pane.whole = true; } redraw(); }

// ---- film -----------------------------------------------------------------------------------------------------
let playing = null;
function show(number) {
  for (const pane of panes) {
    const { info, base } = pane.frames[Math.min(number, pane.frames.length - 1)];
    pane.info = info; pane.base = base; pane.levels = {};
    caption(pane.title, info);
  }
  byId("frame").value = number;
  byId("number").textContent = `${number + 1} of ${+byId("frame").max + 1}`;
  redraw();
}
function step(by) { const count = +byId("frame").max + 1; show((+byId("frame").value + by + count) % count); }
function play() {
  if (playing) { clearInterval(playing); playing = null; } else playing = setInterval(() => step(1), 250);
  byId("play").textContent = playing ? "pause" : "play";
}

// ---- controls -------------------------------------------------------------------------------------------------
function controls() {
  for (const id of ["white", "black"]) byId(id).addEventListener("input", () => { typed = null; redraw(); });
  for (const id of ["curve", "colours", "pool", "rings", "beam", "same", "predicted", "observed"]) byId(id).addEventListener("change", redraw);
  byId("linked").addEventListener("change", () => moved(panes[active]));
  for (const id of ["low", "high"]) byId(id).addEventListener("change", () => {
    const low = +byId("low").value, high = +byId("high").value;
    if (Number.isFinite(low) && Number.isFinite(high) && high > low) typed = [low, high];
    redraw();
  });
  byId("fit").addEventListener("click", fitAll);
  byId("one").addEventListener("click", () => zoomTo(panes[active], 1));
  byId("help").addEventListener("click", () => { byId("hints").hidden = !byId("hints").hidden; });
  byId("frame").addEventListener("input", () => show(+byId("frame").value));
  byId("play").addEventListener("click", play);
  document.addEventListener("keydown", (e) => {
    if (e.target.tagName === "INPUT" && e.target.type === "text") return;
    if (e.key === "?") byId("help").click();
    if (!document.body.classList.contains("film")) return;
    if (e.key === ",") step(-1);
    if (e.key === ".") step(1);
    if (e.key === " " && e.target.tagName !== "BUTTON") { play(); e.preventDefault(); }
  });
  byId("forget").addEventListener("click", () => { byId("kept").querySelector("tbody").replaceChildren(); byId("kept").hidden = true; });
  byId("copy").addEventListener("click", () => navigator.clipboard.writeText([...byId("kept").querySelectorAll("tr")].map((r) => [...r.cells].map((c) => c.textContent).join("\t")).join("\n")));
  if (!panes.some((p) => p.info.geometry)) byId("rings").disabled = byId("beam").disabled = true;
}

async function start() {
  const infos = JSON.parse(byId("info").textContent);
  const data = await Promise.all(infos.map((info, i) => pixelsOf(i, info)));
  const groups = new Map();    // the images of each pane, one after the other
  infos.forEach((info, i) => {
    const key = info.pane === null ? "image " + i : info.pane, frame = { info, base: { data: data[i], w: info.fast, h: info.slow } };
    groups.has(key) ? groups.get(key).push(frame) : groups.set(key, [frame]);
  });
  const most = Math.max(...[...groups.values()].map((frames) => frames.length));
  document.body.classList.toggle("single", groups.size === 1);
  document.body.classList.toggle("film", most > 1);
  document.body.classList.toggle("marked", infos.some((info) => info.spots.length));
  byId("panes").style.gridTemplateColumns = `repeat(${groups.size === 4 ? 2 : Math.min(3, groups.size)}, minmax(0, 1fr))`;
  for (const frames of groups.values()) {
    const pane = makePane(frames[0].info, panes.length);
    pane.frames = frames; pane.base = frames[0].base;
    pane.levelled = frames.reduce((a, b) => (b.info.levels[102] > a.levels[102] ? b.info : a), frames[0].info);
    panes.push(pane);
  }
  byId("frame").max = most - 1;
  if (most > 1) show(0);
  const first = panes[0].levelled, low = first.levels[50], span = Math.max(first.levels[101] - low, 1e-300);
  byId("same").checked = panes.map((pane) => pane.levelled).every((i) => i.diverging || Math.abs(i.levels[50] - low) < span / 2 && i.levels[101] - i.levels[50] < 5 * span && i.levels[101] - i.levels[50] > span / 5);
  byId("white").value = 500;
  byId("black").value = blackSlider(first, low, first.levels[101] > low ? first.levels[101] : first.levels[102]);
  controls();
  for (const pane of panes) { resize(pane); pane.whole = true; new ResizeObserver(() => resize(pane)).observe(pane.stage); }
  drawAll();
  window.nbview = { read, panes, line };
  requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.ready = String(performance.now()); }));
}
start().catch((error) => { byId("panes").textContent = "This page cannot be shown: " + error.message; document.documentElement.dataset.failed = error.message; });
})();
