"use strict";

// el makes an element. Texts become text, never HTML: keys, names and what backends say may hold anything.
function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") e.className = value;
    else if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return e;
}

// Figures are written as [number, unit], so that the unit can stand back.
const fmt = {
  // digits gives three significant digits, and no more than a table needs.
  digits(v) {
    const a = Math.abs(v);
    if (a >= 99.95 || a === 0) return Math.round(v).toLocaleString("en").replace(/,/g, "\u202f");
    return v.toFixed(a >= 9.995 ? 1 : 2);
  },
  whole(v) { return Math.round(v).toLocaleString("en").replace(/,/g, "\u202f"); },
  // tick gives a figure for an axis: no more digits than its grid has, and no "a second", which the title says.
  tick(format) {
    return (v) => {
      const [n, unit] = format(v);
      return v === 0 ? "0" : `${n.replace(/\.0*$/, "")}${unit === "/s" ? "" : "\u202f" + unit.replace("/s", "")}`;
    };
  },
  bytes(v) {
    if (v === null || v === undefined) return ["–", ""];
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (v >= 1023.5 && i < units.length - 1) { v /= 1024; i++; }
    return [i === 0 ? String(Math.round(v)) : fmt.digits(v), units[i]];
  },
  byteRate(v) {
    const [n, unit] = fmt.bytes(v);
    return [n, unit && unit + "/s"];
  },
  rate(v) {
    if (v === null || v === undefined) return ["–", ""];
    if (v >= 99500) return [fmt.digits(v / 1000), "k/s"];
    return [v > 0 && v < 0.01 ? "<0.01" : fmt.digits(v), "/s"];
  },
  percent(v) {
    if (v === null || v === undefined) return ["–", ""];
    v *= 100;
    return [v >= 99.95 || v === 0 ? String(Math.round(v)) : v.toFixed(v < 9.995 ? 2 : 1), "%"];
  },
  // part is a percentage in a sentence.
  part(v) { return `${Math.round(100 * v)}\u202f%`; },
  ratio(v) { return v === null || v === undefined ? ["–", ""] : [v.toFixed(2), "×"]; },
  // seconds gives a short time, such as a latency.
  seconds(v) {
    if (v === null || v === undefined) return ["–", ""];
    if (v >= 1) return [fmt.digits(v), "s"];
    if (v >= 1e-3) return [fmt.digits(v * 1e3), "ms"];
    return [String(Math.round(v * 1e6)), "µs"];
  },
  // age gives a long time in two units at most.
  age(s) {
    s = Math.max(0, Math.round(s));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min` + (s < 600 && s % 60 ? ` ${s % 60} s` : "");
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  },
  clock(at) { return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }); },
  count(n, one, many) { return `${fmt.whole(n)} ${n === 1 ? one : many || one + "s"}`; },
  // middle cuts a long name where it matters least.
  middle(text, most) {
    const r = Array.from(text);
    return r.length <= most ? text : r.slice(0, most >> 1).join("") + "…" + r.slice(r.length - ((most - 1) >> 1)).join("");
  },
};

// figure makes a span of a number and its unit.
function figure([number, unit], props) {
  return el("span", props, number, unit && el("span", { class: "unit" }, unit));
}

// radios makes a group of buttons of which one is chosen; arrows move on. options are [value, content].
function radios(group, options, chosen, choose) {
  const key = JSON.stringify([options.map(([v, c]) => [v, typeof c === "string" ? c : c.textContent]), chosen]);
  if (group.dataset.key === key) return;
  const focused = group.contains(document.activeElement);
  group.dataset.key = key;
  group.replaceChildren(...options.map(([value, content]) => el("button", {
    type: "button", role: "radio", "aria-checked": String(value === chosen), tabindex: value === chosen ? "0" : "-1", onclick: () => choose(value),
    onkeydown: (ev) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[ev.key];
      if (!step) return;
      ev.preventDefault();
      const i = options.findIndex(([v]) => v === value);
      choose(options[(i + step + options.length) % options.length][0]);
    },
  }, content)));
  if (focused) group.querySelector('[aria-checked="true"]').focus();
}
