// Feed asks the proxy each second, while the page is seen and not held.
class Feed {
  constructor(show, lost) {
    this.show = show;
    this.lost = lost;
    this.held = false;
    this.after = 0;
    this.start = "";
    this.times = [];
    this.pools = new Map(); // name → {ops, hits, backends: name → {ops, sent, received}}
    this.tick();
    document.addEventListener("visibilitychange", () => this.tick());
  }

  async get(path) {
    const resp = await fetch(path, { signal: AbortSignal.timeout(8000), cache: "no-store" });
    if (!resp.ok) throw new Error(`${resp.status}: ${(await resp.text()).trim()}`);
    return resp.json();
  }

  // tick asks, and sets the clock for the next time. It never runs twice at once.
  async tick() {
    clearTimeout(this.timer);
    if (document.hidden || this.asking) return;
    this.asking = true;
    const begun = performance.now();
    try {
      if (!this.held || !this.status) {
        const [status, history, keys] = await Promise.all([this.get("/api/status"), this.get(`/api/history?after=${this.after}`), this.get("/api/hotkeys")]);
        this.take(history);
        if (!this.held || !this.status) { // it may have been held meanwhile
          [this.status, this.keys] = [status, keys];
          this.show(this);
        }
      }
    } catch (e) {
      this.lost(e);
    }
    this.asking = false;
    this.timer = setTimeout(() => this.tick(), Math.max(200, 1000 - (performance.now() - begun)));
  }

  hold(held) {
    this.held = held;
    if (!held) this.tick();
  }

  // take adds what is new in the history, and forgets what is older than 15 minutes, or of another process.
  take(h) {
    if (h.start !== this.start) {
      if (this.start && this.after) { // the proxy was started again: ask from the beginning
        this.after = 0;
        this.times = [];
        this.pools.clear();
        if (h.times.length < h.next) { this.start = h.start; return; }
      }
      this.start = h.start;
    }
    const before = this.times.length, more = h.times.length;
    this.times = this.times.concat(h.times);
    const grow = (list, news) => (list || new Array(before).fill(null)).concat(news);
    const pools = new Map();
    for (const p of h.pools) {
      const old = this.pools.get(p.pool) || { backends: new Map() };
      const backends = new Map();
      for (const b of p.backends) {
        const o = old.backends.get(b.backend) || {};
        backends.set(b.backend, { ops: grow(o.ops, b.operations_per_second), sent: grow(o.sent, b.sent_bytes_per_second), received: grow(o.received, b.received_bytes_per_second) });
      }
      pools.set(p.pool, { ops: grow(old.ops, p.operations_per_second), hits: grow(old.hits, p.hit_ratio), backends });
    }
    this.pools = pools;
    this.after = h.next;
    const cut = this.times.length - 900;
    if (cut > 0) {
      this.times.splice(0, cut);
      for (const p of this.pools.values()) for (const s of [p, ...p.backends.values()]) for (const list of Object.values(s)) if (Array.isArray(list)) list.splice(0, cut);
    }
    return more;
  }

  // skew gives the busiest backend's part over the mean for each time, over five seconds.
  skew(pool, read) {
    const lists = [...pool.backends.values()].map(read);
    return this.times.map((_, at) => {
      let sum = 0, most = 0;
      for (const list of lists) {
        let v = 0;
        for (let i = Math.max(0, at - 4); i <= at; i++) v += list(i) || 0;
        sum += v;
        most = Math.max(most, v);
      }
      return sum > 0 ? (most * lists.length) / sum : null;
    });
  }
}
