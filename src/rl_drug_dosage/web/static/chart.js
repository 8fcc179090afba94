// Levels over time as SVG, in the style of the reports: bands, medians, target, doses, levels, now.

import { svg } from "./dom.js";

const LEFT = 46, TOP = 26, RIGHT = 10, BELOW = 42;
const num = (v) => Number(v.toFixed(1));

export function ticks(low, high, most) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((s) => s * power).find((s) => s >= rough * (1 - 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// Marks of the time axis: [hours, text]. By the clock where there is one, in the patient's time zone.
export function clockMarks(origin, zone, x0, x1, most) {
  const offset = /([+-])(\d\d):(\d\d)$/.exec(origin);
  const fixed = offset ? (offset[1] === "-" ? -1 : 1) * (Number(offset[2]) * 60 + Number(offset[3])) * 60000 : 0;
  const begin = Date.parse(origin);
  let format;
  const shape = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", day: "2-digit", month: "short" };
  try {
    if (!zone) throw new RangeError("none");
    format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...shape });
  } catch {
    format = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...shape });
    zone = null;
  }
  const at = (ms) => Object.fromEntries(format.formatToParts(new Date(zone ? ms : ms + fixed)).map((p) => [p.type, p.value]));
  const span = x1 - x0;
  const step = [1, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688].find((s) => span / s <= most) || 5376;
  const found = [];
  let midnights = 0;
  const hour = 3600000;
  let ms = Math.ceil((begin + x0 * hour) / hour) * hour;
  for (; ms <= begin + x1 * hour; ms += hour) {
    const p = at(ms), hours = (ms - begin) / hour, h = Number(p.hour);
    if (h === 0) midnights += 1;
    if (p.minute !== "00") continue;
    if (step >= 24 ? h === 0 && (midnights - 1) % (step / 24) === 0 : h % step === 0) {
      found.push([hours, h === 0 ? `${p.day} ${p.month}` : `${p.hour}:${p.minute}`]);
    }
  }
  return found;
}

export function hourMarks(x0, x1, most) {
  const days = x1 - x0 > 96, unit = days ? 24 : 1;
  return ticks(x0 / unit, x1 / unit, most).map((t) => [t * unit, String(t)]);
}

const line = (points, cls) => svg("path", { d: `M${points.map(([x, y]) => `${num(x)} ${num(y)}`).join("L")}`, class: cls });

/* draw(box, figure): figure = {
     id, title, description, unitLabel, axisLabel, x0, x1, marks, window: [low, high] or null,
     series: [{cls, time, low, high, inner: [low, high], median, from}], doses: [{time_h, given}], levels: [{time_h, value, below}],
     lines: [{at, text, cls}] } */
export function draw(box, f) {
  const width = Math.max(box.clientWidth || 720, 300), height = width < 520 ? 300 : 340;
  const tops = [];
  for (const s of f.series) tops.push(...(s.high || s.median).filter((v) => v !== null));
  tops.push(...f.levels.map((v) => v.value), ...(f.window || []).filter((v) => v !== null));
  const top = 1.06 * Math.max(...tops, 0) || 1;
  const w = width - LEFT - RIGHT, h = height - TOP - BELOW;
  const x = (t) => ((t - f.x0) / (f.x1 - f.x0)) * w, y = (v) => h - (v / top) * h;
  const frame = [], inside = [];
  for (const v of ticks(0, top, 5)) {
    frame.push(svg("path", { d: `M${LEFT} ${num(TOP + y(v))}h${num(w)}`, class: "grid" }));
    frame.push(svg("text", { x: LEFT - 6, y: num(TOP + y(v) + 4), class: "tick end" }, String(v)));
  }
  for (const [at, text] of f.marks) {
    const place = x(at);
    if (place < 0 || place > w) continue;
    frame.push(svg("path", { d: `M${num(LEFT + place)} ${TOP}v${h}`, class: "grid" }));
    if (place > 14 && place < w - 14) frame.push(svg("text", { x: num(LEFT + place), y: TOP + h + 15, class: "tick mid" }, text));
  }
  frame.push(svg("path", { d: `M${LEFT} ${TOP + h}h${num(w)}`, class: "axis" }));
  if (f.window) {
    const low = f.window[0] === null ? 0 : f.window[0], high = f.window[1] === null ? top : f.window[1];
    inside.push(svg("rect", { x: 0, y: num(y(high)), width: num(w), height: num(Math.max(y(low) - y(high), 0)), class: "window" }));
  }
  for (const s of f.series) inside.push(series(s, x, y));
  for (const l of f.lines) inside.push(svg("path", { d: `M${num(x(l.at))} 0V${h}`, class: l.cls }));
  for (const d of f.doses) {
    if (d.time_h < f.x0 || d.time_h > f.x1) continue;
    const at = x(d.time_h);
    inside.push(svg("path", { d: `M${num(at)} ${h - 10}L${num(at + 5)} ${h}H${num(at - 5)}Z`, class: d.given === false ? "zero" : "changed" }));
  }
  for (const v of f.levels) {
    if (v.time_h < f.x0 || v.time_h > f.x1) continue;
    const own = { cx: num(x(v.time_h)), cy: num(y(v.value)), r: 4.5 };
    inside.push(svg("circle", v.below ? { ...own, class: "c5 zero", fill: "none" } : { ...own, class: "c5 dot" }));
  }
  const names = labelled(f.lines, x, w);
  const plot = svg("svg", { x: LEFT, y: TOP, width: num(w), height: h, overflow: "hidden" }, inside);
  const drawing = svg(
    "svg", { role: "img", viewBox: `0 0 ${width} ${height}`, "aria-labelledby": `${f.id}-t ${f.id}-d` },
    svg("title", { id: `${f.id}-t` }, f.title), svg("desc", { id: `${f.id}-d` }, f.description),
    frame, plot, svg("text", { x: 2, y: 12, class: "heading" }, f.unitLabel),
    svg("text", { x: width - RIGHT, y: TOP + h + 34, class: "heading end" }, f.axisLabel), names);
  box.replaceChildren(drawing);
}

function series(s, x, y) {
  const keep = s.time.map((t, i) => i).filter((i) => s.median[i] !== null && (s.from === undefined || s.time[i] >= s.from - 1e-9));
  const area = (low, high, cls) => {
    const up = keep.map((i) => [x(s.time[i]), y(high[i])]), down = keep.map((i) => [x(s.time[i]), y(low[i])]).reverse();
    return svg("path", { d: `M${[...up, ...down].map(([a, b]) => `${num(a)} ${num(b)}`).join("L")}Z`, class: cls });
  };
  const parts = [];
  if (keep.length && s.low) parts.push(area(s.low, s.high, "outer"));
  if (keep.length && s.inner) parts.push(area(s.inner[0], s.inner[1], "inner"));
  if (keep.length) parts.push(line(keep.map((i) => [x(s.time[i]), y(s.median[i])]), s.dashed ? "median own" : "median"));
  return svg("g", { class: s.cls }, parts);
}

function labelled(lines, x, w) {
  const [first, second] = lines;
  if (second && Math.abs(x(second.at) - x(first.at)) < 1) lines = [{ ...first, text: `${first.text}, ${second.text}` }];
  return lines.filter((l) => l.text).map((l, i) => {
    const at = x(l.at), left = lines.length > 1 ? i === 0 : at > w / 2;
    return svg("text", { x: num(LEFT + at + (left ? -4 : 4)), y: TOP - 4, class: left ? "side end" : "side" }, l.text);
  });
}

export function swatch(cls, kind) {
  const shapes = {
    median: () => svg("path", { d: "M0 7H28", class: "median" }),
    own: () => svg("path", { d: "M0 7H28", class: "median own" }),
    inner: () => svg("rect", { x: 0, y: 2, width: 28, height: 10, class: "inner" }),
    outer: () => svg("rect", { x: 0, y: 2, width: 28, height: 10, class: "outer" }),
    window: () => svg("rect", { x: 0, y: 2, width: 28, height: 10, class: "window" }),
    level: () => svg("circle", { cx: 14, cy: 7, r: 4, class: "dot" }),
    dose: () => svg("path", { d: "M14 2L19 12H9Z", class: "changed" }),
  };
  return svg("svg", { viewBox: "0 0 28 14", class: `swatch ${cls}`, "aria-hidden": "true" }, shapes[kind]());
}
