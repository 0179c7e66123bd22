// A Plot is a figure of lines over the last minutes, one a backend. Its names stand at their lines' ends.
const plotSync = typeof uPlot === "undefined" ? null : uPlot.sync("time");

class Plot {
  constructor(root, title, note, format, options = {}) {
    this.format = format;
    this.options = options;
    this.names = [];
    this.now = el("span", {}, note);
    this.box = el("div", { class: "canvas", role: "img" });
    this.tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.title = title;
    root.append(el("figure", {}, el("figcaption", {}, title, this.now), this.box, this.tip));
    new ResizeObserver(() => this.resize()).observe(this.box);
  }

  resize() {
    if (this.u && this.box.clientWidth > 0) this.u.setSize({ width: this.box.clientWidth, height: this.box.clientHeight });
  }

  // show draws times and a list of values for each name. colour(name) is a CSS variable's name.
  show(times, names, values, colours) {
    const key = JSON.stringify([names, colours, currentTheme()]);
    const data = [times, ...values];
    this.data = data;
    if (this.key !== key) {
      this.key = key;
      if (this.u) this.u.destroy();
      this.names = names;
      this.u = new uPlot(this.settings(names, colours), data, this.box);
    } else {
      this.u.setData(data);
    }
    const last = names.map((n, i) => `${n} ${this.format(this.lastOf(values[i])).join(" ")}`);
    this.box.setAttribute("aria-label", `${this.title}, now: ${last.slice(0, 8).join(", ")}`);
  }

  lastOf(list) { return list.length ? list[list.length - 1] : null; }

  settings(names, colours) {
    const css = getComputedStyle(document.documentElement);
    const colour = (name) => css.getPropertyValue(name).trim();
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--muted"), font, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
    const two = [];
    for (let e = 0; e < 6; e++) for (const m of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]) two.push(m * 1024 ** e);
    const labels = names.length > 1 && names.length <= 4;
    const width = labels ? 10 + Math.max(...names.map((n) => measure(this.short(n), font))) : 12;
    return {
      width: this.box.clientWidth || 300, height: this.box.clientHeight || 150, legend: { show: false }, padding: [10, width, 0, 0],
      cursor: { sync: { key: plotSync.key }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: {
        x: { time: true, range: (u, min, max) => [max - Math.min(900, Math.max(120, max - min)), max] },
        y: { range: this.options.range || ((u, min, max) => [0, max > 0 ? max * 1.08 : 1]) },
      },
      axes: [
        { ...axis, space: 70, size: 26, gap: 4, values: (u, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })), incrs: [30, 60, 120, 300, 600] },
        { ...axis, size: 50, gap: 5, space: 30, values: (u, at) => at.map(fmt.tick(this.format)), ...(this.options.bytes && { incrs: two }), ...this.options.axis },
      ],
      series: [{}, ...names.map((n, i) => ({ label: n, stroke: colour(colours[i]), width: colours[i] === "--rest" ? 1 : 1.75, dash: this.options.dash && this.options.dash[i], fill: this.options.fill && i === 0 ? `color-mix(in srgb, ${colour(colours[i])} 14%, transparent)` : undefined, fillTo: this.options.fill, points: { show: false } }))],
      hooks: {
        draw: [(u) => labels && this.label(u, names, colours.map(colour), font)],
        setCursor: [(u) => this.hover(u, colours)],
      },
    };
  }

  short(name) { return fmt.middle(name, 14); }

  // label writes each line's name at its end, moved apart where they would lie on each other.
  label(u, names, colours, font) {
    const dpr = devicePixelRatio, height = 12;
    const right = (u.bbox.left + u.bbox.width) / dpr + 5;
    const places = names.map((n, i) => {
      const list = this.data[i + 1];
      let at = list.length - 1;
      while (at >= 0 && (list[at] === null || list[at] === undefined)) at--;
      return at < 0 ? null : { n, colour: colours[i], y: u.valToPos(list[at], "y") + u.bbox.top / dpr };
    }).filter(Boolean).sort((a, b) => a.y - b.y);
    const low = (u.bbox.top + u.bbox.height) / dpr - 2;
    for (let i = 1; i < places.length; i++) places[i].y = Math.max(places[i].y, places[i - 1].y + height);
    for (let i = places.length - 1; i >= 0; i--) places[i].y = Math.min(places[i].y, i === places.length - 1 ? low : places[i + 1].y - height);
    u.ctx.save();
    u.ctx.scale(dpr, dpr);
    u.ctx.font = `600 ${font}`;
    u.ctx.textBaseline = "middle";
    u.ctx.textAlign = "left";
    for (const p of places) {
      u.ctx.fillStyle = p.colour;
      u.ctx.fillText(this.short(p.n), right, p.y);
    }
    u.ctx.restore();
  }

  hover(u, colours) {
    const at = u.cursor.idx;
    if (at === null || at === undefined || !(u.cursor.left >= 0) || !this.box.matches(":hover")) { this.tip.hidden = true; return; }
    const rows = this.names.map((n, i) => [n, this.data[i + 1][at], colours[i]]).filter(([, v]) => v !== null && v !== undefined)
      .sort((a, b) => b[1] - a[1]).slice(0, 10);
    this.tip.replaceChildren(el("div", { class: "muted" }, fmt.clock(this.data[0][at] * 1000)), ...rows.map(([n, v, c]) => {
      const swatch = el("i", { class: "swatch" });
      swatch.style.color = `var(${c})`;
      return el("div", {}, el("span", {}, swatch, fmt.middle(n, 26)), figure(this.format(v)));
    }));
    this.tip.hidden = false;
    const left = u.cursor.left + u.bbox.left / devicePixelRatio;
    const room = this.box.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(4, Math.min(left + 14, room))}px`;
    this.tip.style.top = `${this.box.offsetTop + this.box.clientHeight - 24 + 4}px`;
  }
}

// measure gives a text's width in pixels.
function measure(text, font) {
  const c = measure.context || (measure.context = document.createElement("canvas").getContext("2d"));
  c.font = `600 ${font}`;
  return Math.ceil(c.measureText(text).width);
}
