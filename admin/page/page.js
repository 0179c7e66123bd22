(() => {
  const $ = (id) => document.getElementById(id);
  const UNEVEN = 1.25; // the busiest over the mean, from which a load is called uneven
  const state = { pool: null, which: "notable", filter: "" };
  let feed;

  // Theme: as the system, light, dark.
  const themes = ["", "light", "dark"];
  let theme = "";
  try { theme = localStorage.getItem("mcproxy-theme") || ""; } catch { /* no storage, no memory */ }
  window.currentTheme = () => theme + matchMedia("(prefers-color-scheme: dark)").matches;
  function setTheme(t) {
    theme = themes.includes(t) ? t : "";
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    try { localStorage.setItem("mcproxy-theme", theme); } catch { /* as above */ }
    $("theme").textContent = { "": "Auto", light: "Light", dark: "Dark" }[theme];
    redraw();
  }
  const nextTheme = () => setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]);

  // Colours of backends: the busiest of a large pool have one, the others share a quiet one.
  const palette = new Map(); // pool → names with a colour, at their colour's index
  function colours(status) {
    const names = status.backends.map((b) => b.backend);
    if (names.length <= 8) return new Map(names.map((n, i) => [n, `--s${i}`]));
    let kept = (palette.get(status.pool) || []).filter((n) => names.includes(n));
    const load = (b) => (b.sent_bytes_per_second || 0) + (b.received_bytes_per_second || 0);
    const busiest = [...status.backends].sort((a, b) => load(b) - load(a)).slice(0, 7).map((b) => b.backend);
    if (!busiest.slice(0, 3).every((n) => kept.includes(n))) kept = busiest;
    palette.set(status.pool, kept);
    return new Map(names.map((n) => [n, kept.includes(n) ? `--s${kept.indexOf(n)}` : "--rest"]));
  }
  function swatch(colour) {
    const s = el("i", { class: "swatch" });
    s.style.color = `var(${colour || "--rest"})`;
    return s;
  }
  const total = (b) => (b.sent_bytes_per_second || 0) + (b.received_bytes_per_second || 0);

  // The backends.
  function bar(row) {
    const most = Math.max(...row.all.map(total), 1e-9), mean = row.all.reduce((s, b) => s + total(b), 0) / row.all.length;
    const received = el("i"), sent = el("i"), notch = el("u");
    const part = (v) => `${(100 * v) / Math.max(most, mean) / 1.02}%`;
    received.style.width = part(row.received_bytes_per_second || 0);
    sent.style.width = part(row.sent_bytes_per_second || 0);
    sent.style.left = received.style.width;
    notch.style.left = part(mean);
    const b = el("div", { class: "bar", title: `from it ${fmt.byteRate(row.received_bytes_per_second).join(" ")}, to it ${fmt.byteRate(row.sent_bytes_per_second).join(" ")}; the line is the mean of all, ${fmt.byteRate(mean).join(" ")}` }, received, sent, notch);
    b.style.color = `var(${row.colour})`;
    return b;
  }
  const number = (id, title, read, format, more) => ({ id, title, num: true, value: read, show: (row) => figure(format(read(row))), ...more });
  const worse = (id, title, read, title2) => ({
    id, title, title2, num: true, value: read, show: (row) => (read(row) ? figure(fmt.rate(read(row)), { class: "bad" }) : el("span", { class: "muted" }, "0")),
  });
  const backends = new Table($("backends").querySelector(".table"), "backends", [
    { id: "name", title: "Backend", class: "lead", first: "ascending", value: (r) => r.backend, show: (r) => el("span", { class: "one" }, swatch(r.colour), el("span", { class: "name", title: r.backend }, fmt.middle(r.backend, 28)), r.address !== r.backend && el("span", { class: "address" }, r.address)) },
    { id: "state", title: "State", class: "state", first: "ascending", value: (r) => r.state, show: (r) => el("span", { class: { up: "up", down: "down", held: "held", quarantined: "held" }[r.state] || "", title: { down: "its requests fail at once", held: "it missed more writes than its journal holds: flush it, then release it", quarantined: "the proxies have not agreed yet that its keys are looked for there" }[r.state] }, r.state) },
    { id: "bar", title: "Bytes: from it, to it, and the mean", class: "load", value: total, show: bar },
    { id: "load", title: "× mean", num: true, title2: "its bytes over the mean backend's", value: (r) => r.load, show: (r) => figure(fmt.ratio(r.load), { class: r.load >= UNEVEN && r.all.length > 1 ? "bad" : "" }) },
    number("received", "From it", (r) => r.received_bytes_per_second, fmt.byteRate, { title2: "bytes that it sends" }),
    number("sent", "To it", (r) => r.sent_bytes_per_second, fmt.byteRate, { title2: "bytes that it is sent" }),
    number("ops", "Calls", (r) => r.operations_per_second, fmt.rate, { title2: "requests that it is sent" }),
    worse("failures", "Failed", (r) => r.failures_per_second, "calls that failed, timeouts included"),
    number("pending", "Waiting", (r) => r.pending_calls, (v) => [fmt.whole(v), ""], { class: "minor", title2: "calls without an answer yet" }),
    number("conns", "Conns", (r) => r.conns, (v) => [fmt.whole(v), ""], { class: "minor" }),
    { id: "journal", title: "Journal", num: true, class: "minor", title2: "keys of writes that it missed", value: (r) => r.journal_keys, show: (r) => (r.journal_keys ? el("span", { class: "bad" }, fmt.digits(r.journal_keys)) : el("span", { class: "muted" }, "0")) },
    { id: "version", title: "Version", class: "minor", first: "ascending", value: (r) => r.version, show: (r) => el("span", { class: "muted" }, r.version || "–") },
  ], "name", (r) => r.backend, [1000, 780]);
  backends.sort.down = false;
  backends.rowClass = (r) => (r.state === "up" ? "" : "dead");

  // The keys: hot ones and oversized ones are one list.
  function keyRows(pool) {
    const rows = new Map();
    for (const k of pool.keys) rows.set(k.hash, { ...k, size: k.value_bytes, ops: k.operations_per_second, bytes: k.bytes_per_second });
    for (const k of pool.oversized) {
      const known = rows.get(k.hash) || { hash: k.hash, key: k.key, backend: k.backend, kind: "", hot: false, share: null, ops: k.operations_per_second, bytes: k.operations_per_second * k.value_bytes, clients: k.clients };
      rows.set(k.hash, { ...known, large: true, size: Math.max(k.value_bytes, known.size || 0), fate: k.action, clients: known.clients && known.clients.length ? known.clients : k.clients });
    }
    return [...rows.values()].map((r) => ({ ...r, id: r.hash, name: r.key || `hash ${r.hash}`, what: done(r.fate, r.action) }));
  }
  // done says what is done about a key: the list of large keys knows of its chunks, and that of hot ones of the rest.
  function done(fate, action) {
    const rest = (action || "").split(", ").filter((a) => a && !(fate && fate.startsWith("split into") && (a === "split" || a.endsWith(" copies"))));
    return [fate, ...rest].filter(Boolean).join(", ");
  }
  const kinds = (r) => [r.hot && el("span", { class: "badge hot" }, r.kind), r.large && el("span", { class: "badge large" }, "oversized"), !r.hot && !r.large && el("span", { class: "badge" }, r.kind || "–")].filter(Boolean);
  function who(r) {
    const list = (r.clients || []).filter((c, i) => i === 0 || c.share >= 0.005);
    return list.slice(0, 3).flatMap((c) => [" ", el("span", { class: "one" }, c.address, " ", el("span", { class: "muted" }, fmt.part(c.share)))]);
  }
  const keys = new Table($("keys").querySelector(".table"), "keys", [
    { id: "name", title: "Key", class: "key", first: "ascending", value: (r) => r.name, show: (r) => el("button", { type: "button", title: "Look it up", "data-key": r.key || "" }, fmt.middle(r.name, 96)) },
    { id: "kind", title: "Kind", class: "kind", first: "ascending", value: (r) => `${r.hot ? 0 : 1}${r.large ? 0 : 1}${r.kind}`, show: kinds },
    { id: "share", title: "Share", num: true, title2: "of what all keys of the pool cost", value: (r) => r.share, show: (r) => {
      if (r.share === null || r.share === undefined) return el("span", { class: "muted" }, "–");
      const fill = el("i"), b = el("span", { class: "bar small", "aria-hidden": "true" }, fill);
      fill.style.width = `${Math.min(100, 100 * r.share)}%`;
      return [b, figure(fmt.percent(r.share))];
    } },
    number("ops", "Requests", (r) => r.ops, fmt.rate),
    number("bytes", "Bytes", (r) => r.bytes, fmt.byteRate),
    number("size", "Value", (r) => r.size || null, fmt.bytes, { title2: "the largest of late" }),
    { id: "backend", title: "Backend", first: "ascending", value: (r) => r.backend || "", show: (r) => (r.backend ? el("span", {}, swatch(r.colour), fmt.middle(r.backend, 24)) : "–") },
    { id: "action", title: "What is done", class: "what", first: "ascending", value: (r) => r.what, show: (r) => (r.what ? r.what : el("span", { class: "muted" }, "nothing")) },
    { id: "clients", title: "Clients", class: "who", first: "ascending", title2: "the addresses that ask for it most, and their parts", value: (r) => ((r.clients || [])[0] || { address: "" }).address, show: (r) => (r.clients && r.clients.length ? who(r) : el("span", { class: "muted" }, "–")) },
  ], "bytes", (r) => r.id, [0, 960]);
  $("keys").querySelector(".table").addEventListener("click", (ev) => {
    const b = ev.target.closest("td.key button");
    if (b && b.dataset.key) { $("key").value = b.dataset.key; lookUp(); }
  });

  const clients = new Table($("clients").querySelector(".table"), "clients", [
    { id: "address", title: "Address", class: "lead", first: "ascending", value: (r) => r.address, show: (r) => el("span", { class: "name" }, r.address) },
    number("conns", "Conns", (r) => r.conns, (v) => [fmt.whole(v), ""]),
    number("requests", "Requests", (r) => r.requests_per_second, fmt.rate),
    number("stores", "Stores", (r) => r.stores_per_second, fmt.rate, { title2: "requests that bring a value" }),
    number("bytes", "Bytes", (r) => r.sent_bytes_per_second + r.received_bytes_per_second, fmt.byteRate, { title2: "both ways" }),
  ], "bytes", (r) => r.address, [0, 340]);

  // The plots.
  const plots = {
    skew: new Plot($("plots"), "Skew", "busiest ÷ mean", fmt.ratio, {
      range: (u, min, max) => [1, 1 + 1.12 * (Math.max(max || 1, 1.5) - 1)], dash: [[], [4, 3]], fill: 1,
      axis: { values: (u, at) => at.map((v) => (v === 1 ? "even" : `${v}×`)), incrs: [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50] },
    }),
    received: new Plot($("plots"), "From backends", "bytes a second", fmt.byteRate, { bytes: true }),
    sent: new Plot($("plots"), "To backends", "bytes a second", fmt.byteRate, { bytes: true }),
    ops: new Plot($("plots"), "Calls to backends", "a second", fmt.rate),
  };
  function drawPlots(status, paint) {
    const pool = feed.pools.get(status.pool);
    if (!pool || feed.times.length === 0) return;
    const at = (list) => (i) => list[i];
    const both = (b) => (i) => (b.sent[i] === null ? null : b.sent[i] + b.received[i]);
    plots.skew.show(feed.times, ["bytes", "calls"], [feed.skew(pool, both), feed.skew(pool, (b) => at(b.ops))], ["--alarm", "--muted"]);
    const names = status.backends.map((b) => b.backend).filter((n) => pool.backends.has(n));
    names.sort((a, b) => (paint.get(a) === "--rest" ? 0 : 1) - (paint.get(b) === "--rest" ? 0 : 1)); // quiet ones lie below
    for (const what of ["received", "sent", "ops"]) {
      plots[what].show(feed.times, names, names.map((n) => pool.backends.get(n)[what]), names.map((n) => paint.get(n)));
    }
  }

  // The figures.
  function tile(label, value, ...more) {
    return el("div", {}, el("div", { class: "label" }, label), el("div", { class: "value" }, value), el("div", { class: "more" }, ...more));
  }
  function skewTile(p) {
    const s = p.skew, uneven = s.bytes >= UNEVEN && p.backends.length > 1;
    const words = [];
    if (p.backends.length < 2) words.push("One backend has no other to be compared with.");
    else if (s.bytes === null) words.push("No load.");
    else if (uneven) {
      const share = (s.bytes / p.backends.length);
      words.push(el("b", {}, fmt.middle(s.busiest, 30)), ` moves ${fmt.part(share)} of the bytes; its part would be ${fmt.part(1 / p.backends.length)}.`);
    } else words.push(`Even: the busiest of ${p.backends.length} backends is near the mean.`);
    const calls = s.operations === null ? "" : `Calls: the busiest has ${fmt.ratio(s.operations).join("")} the mean.`;
    return el("div", { class: uneven ? "skew uneven" : "skew", id: "skew" },
      el("div", {}, el("div", { class: "label" }, "Skew of bytes"), el("div", { class: "value" }, figure(fmt.ratio(s.bytes)))),
      el("div", { class: "more" }, el("div", {}, ...words), el("div", { class: "muted" }, calls)));
  }
  function latency(p) {
    const [all, ...kinds] = p.latency;
    const t = tile("Latency, p50 and p99", el("span", {}, figure(fmt.seconds(all.p50)), el("span", { class: "slash" }, "/"), figure(fmt.seconds(all.p99))), all.p99_9 === null ? "nobody asks" : `p99.9 ${fmt.seconds(all.p99_9).join("\u202f")}`);
    t.title = kinds.map((k) => `${k.operation}: ${fmt.rate(k.per_second).join("")}, p50 ${fmt.seconds(k.p50).join(" ")}, p99 ${fmt.seconds(k.p99).join(" ")}, p99.9 ${fmt.seconds(k.p99_9).join(" ")}`).join("\n");
    return t;
  }
  function drawFigures(p, status) {
    let sent = 0, received = 0;
    for (const b of p.backends) { sent += b.sent_bytes_per_second; received += b.received_bytes_per_second; }
    const down = p.backends.filter((b) => b.state !== "up").length;
    $("figures").replaceChildren(
      skewTile(p),
      tile("Requests", figure(fmt.rate(p.operations_per_second)), p.coalesced_reads_per_second ? `${fmt.rate(p.coalesced_reads_per_second).join("")} answered by another's fetch` : `${fmt.count(status.clients.conns, "client conn")}`),
      tile("Bytes, backends", figure(fmt.byteRate(sent + received)), `from ${fmt.byteRate(received).join("\u202f")}, to ${fmt.byteRate(sent).join("\u202f")}`),
      tile("Hit ratio", figure(fmt.percent(p.hit_ratio)), p.hit_ratio === null ? "nobody reads" : "of the keys read"),
      latency(p),
      tile("Failures", figure(fmt.rate(p.failures_per_second), { class: p.failures_per_second > 0 ? "bad" : "" }), down ? el("span", { class: "bad" }, `${fmt.count(down, "backend")} not up`) : `all ${fmt.count(p.backends.length, "backend")} up`),
    );
  }

  // sentence says what has happened to whom: to a key, which the text begins with, to a backend, or to a pool.
  function sentence(e) {
    const bad = ["down", "held", "refused", "divided"].includes(e.kind);
    const text = e.key && e.text.startsWith(e.key) ? e.text.slice(e.key.length) : ` ${e.text}`;
    const where = e.pool && feed.status.pools.length > 1 && el("span", { class: "muted" }, ` (${e.pool})`);
    return el("span", {}, e.key ? el("span", { class: "mono", title: e.key }, fmt.middle(e.key, 24)) : e.backend && el("span", { class: "name" }, fmt.middle(e.backend, 28)),
      el("span", { class: bad ? "bad" : "" }, text), where);
  }
  function drawEvents(status) {
    const list = status.events.slice(0, 100);
    $("events-note").textContent = list.length ? "" : "nothing has happened yet";
    const key = JSON.stringify(list.map((e) => e.id));
    const ol = $("events").querySelector("ol");
    if (ol.dataset.key === key) return;
    ol.dataset.key = key;
    ol.replaceChildren(...list.map((e) => el("li", {}, el("time", { datetime: e.at, title: new Date(e.at).toLocaleString() }, fmt.clock(e.at)), sentence(e))));
  }

  function drawClients(status) {
    const list = status.clients.addresses.filter((a) => a.address !== "other" || a.conns || a.requests_per_second); // without those, all have names
    $("clients-note").textContent = `${fmt.count(status.clients.conns, "conn")}; ${fmt.byteRate(status.clients.received_bytes_per_second).join("\u202f")} in, ${fmt.byteRate(status.clients.sent_bytes_per_second).join("\u202f")} out`;
    clients.show(list, "No client has come yet.");
  }

  function drawKeys(pool, paint) {
    const all = keyRows(pool).map((r) => ({ ...r, colour: paint.get(r.backend) }));
    const notable = all.filter((r) => r.hot || r.large);
    radios($("keys-which"), [["notable", `Hot and oversized ${notable.length}`], ["all", `All watched ${all.length}`]], state.which, (v) => { state.which = v; redraw(); });
    const word = state.filter.toLowerCase();
    const rows = (state.which === "all" ? all : notable).filter((r) => !word || [r.name, r.hot && r.kind, r.large && "oversized", r.backend, r.what, ...(r.clients || []).map((c) => c.address)].some((t) => t && t.toLowerCase().includes(word)));
    const note = [];
    if (pool.hide_keys) note.push("keys are hidden: hashes stand for them");
    if (!pool.watched) note.push("this pool's keys are not watched");
    $("keys-note").textContent = note.join("; ");
    keys.show(rows, word ? "No key matches the filter." : "No key is hot, and none has an oversized value.");
  }

  function draw() {
    const status = feed.status;
    if (!status) return;
    const names = status.pools.map((p) => p.pool);
    if (!names.includes(state.pool)) state.pool = names[0];
    const p = status.pools.find((q) => q.pool === state.pool);
    $("pools").hidden = names.length < 2;
    radios($("pools"), status.pools.map((q) => [q.pool, el("span", {}, q.pool, q.skew.bytes >= UNEVEN && q.backends.length > 1 && el("span", { class: "alarm" }, ` ${fmt.ratio(q.skew.bytes).join("")}`), q.backends.some((b) => b.state !== "up") && el("span", { class: "alarm" }, " ✕"))]), state.pool, (v) => { state.pool = v; redraw(); });
    const parts = [status.version, `up ${fmt.age((new Date(status.at) - new Date(status.start)) / 1000)}`, fmt.count(status.workers, "worker")];
    if (names.length < 2) parts.push(`pool ${p.pool}`);
    if (!status.ready) parts.push("accepts no clients");
    $("about").textContent = parts.join(" · ");
    const paint = colours(p);
    drawFigures(p, status);
    backends.show(p.backends.map((b) => ({ ...b, all: p.backends, colour: paint.get(b.backend) })), "");
    drawPlots(p, paint);
    drawKeys(feed.keys.pools.find((k) => k.pool === p.pool) || { keys: [], oversized: [], watched: true }, paint);
    drawClients(status);
    drawEvents(status);
  }
  const redraw = () => { if (feed && feed.status) draw(); };

  function live(text, how) {
    if ($("live").textContent !== text) $("live").textContent = text;
    $("live").dataset.state = how;
    document.body.classList.toggle("lost", how === "lost");
  }
  function hold(held) {
    feed.hold(held);
    $("pause").setAttribute("aria-pressed", String(held));
    $("pause").textContent = held ? "Go on" : "Pause";
    if (held) live(`held at ${fmt.clock(feed.status ? feed.status.at : Date.now())}`, "held");
  }

  // The lookup.
  let asked = 0; // lookups; only the last one's answer is shown
  async function lookUp() {
    const number = ++asked;
    const key = $("key").value.trim();
    if (!key) { $("found").replaceChildren(); return; }
    let text;
    try {
      const resp = await fetch("/api/lookup", { method: "POST", body: new URLSearchParams({ key }), signal: AbortSignal.timeout(8000) });
      text = await resp.text();
      if (!resp.ok) throw new Error(text.trim());
      if (number === asked) showKey(JSON.parse(text));
    } catch (e) {
      if (number === asked) $("found").replaceChildren(el("p", { class: "bad" }, e.message || "no answer"));
    }
  }
  function showKey(k) {
    const rows = [["Key", el("code", {}, k.key)], ["Pool", k.pool], ["Backend", el("span", {}, k.backend, k.address !== k.backend && el("span", { class: "address" }, k.address), " ", el("span", { class: k.backend_state }, k.backend_state))],
      ["Ring", `${k.ring}, hash ${k.ring_hash}`]];
    if (k.hot) rows.push(["Heat", `${k.hot.hot ? `${k.hot.kind} for ${fmt.age((Date.now() - new Date(k.hot.since)) / 1000)}` : `not hot (${k.hot.kind} if it were)`}; ${fmt.rate(k.hot.operations_per_second).join("")}, ${fmt.percent(k.hot.share).join("\u202f")} of the pool's cost`]);
    else rows.push(["Heat", "not among the heaviest keys"]);
    const what = done(k.oversized && k.oversized.action, k.hot && k.hot.action);
    if (what) rows.push(["Done", what]);
    const i = k.item;
    if (!i) rows.push(["Item", el("span", { class: "bad" }, k.failure || "not known")]);
    else if (!i.found) rows.push(["Item", "not there: a read misses"]);
    else {
      rows.push(["Value", i.value_bytes === undefined ? "size not told" : figure(fmt.bytes(i.value_bytes))]);
      rows.push(["Lifetime", i.ttl_seconds < 0 ? "does not expire" : `${fmt.age(i.ttl_seconds)} left`]);
      if (i.flags !== undefined) rows.push(["Client flags", String(i.flags)]);
      if (i.last_access_seconds !== undefined) rows.push(["Last read", i.fetched ? `${fmt.age(i.last_access_seconds)} ago` : "never since it was stored"]);
    }
    $("found").replaceChildren(el("dl", {}, ...rows.flatMap(([t, d]) => [el("dt", {}, t), el("dd", {}, d)])));
  }

  // What people do.
  $("pause").addEventListener("click", () => hold(!feed.held));
  $("theme").addEventListener("click", nextTheme);
  $("help").addEventListener("click", () => $("keyboard").showModal());
  $("lookup").querySelector("form").addEventListener("submit", (ev) => { ev.preventDefault(); lookUp(); });
  $("filter").addEventListener("input", () => { state.filter = $("filter").value.trim(); redraw(); });
  $("filter").addEventListener("keydown", (ev) => {
    if (ev.key !== "Escape") return;
    $("filter").value = state.filter = "";
    redraw();
  });
  document.addEventListener("keydown", (ev) => {
    if (ev.ctrlKey || ev.metaKey || ev.altKey || ev.target.closest("input, select, textarea") || $("keyboard").open) return;
    const step = (by) => {
      const names = feed.status ? feed.status.pools.map((p) => p.pool) : [];
      if (names.length > 1) { state.pool = names[(names.indexOf(state.pool) + by + names.length) % names.length]; redraw(); }
    };
    const act = {
      p: () => hold(!feed.held), t: nextTheme, "?": () => $("keyboard").showModal(), "/": () => $("filter").focus(), k: () => { $("key").focus(); $("key").select(); },
      "[": () => step(-1), "]": () => step(1),
    }[ev.key];
    if (!act) return;
    ev.preventDefault();
    act();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  let newest = {};
  live("asking", "held");
  feed = new Feed(() => {
    if (feed.status.at !== newest.at) newest = { at: feed.status.at, since: performance.now() };
    const late = (performance.now() - newest.since) / 1000; // by this machine's clock alone: the proxy's may be another
    draw();
    if (late > 10) live(`figures are ${fmt.age(late)} old`, "lost");
    else live("live", "live");
  }, (e) => live(feed && feed.status ? `no answer since ${fmt.clock(feed.status.at)}` : `no answer: ${e.message}`, "lost"));
  setTheme(theme);
})();
