// A Table shows rows, sorted by a column. Each second it is given all rows again; those that stay keep their elements, so that
// what has the focus keeps it.
//
// A column has: id, title; value(row) to sort by; show(row), nodes or a text; and, if need be, num, class, first ("ascending"), title2 as a
// longer explanation.
class Table {
  // widths are two numbers of pixels: in less than the first, columns of the class minor are left out, and in less than the second each
  // row is a block of its own.
  constructor(root, label, columns, sort, id, widths) {
    this.columns = columns;
    this.id = id; // (row) => what tells rows apart
    this.sort = { by: sort, down: true };
    this.lines = new Map();
    this.last = [];
    this.heads = columns.map((c) => el("th", { scope: "col", role: "columnheader", class: [c.num && "num", c.class].filter(Boolean).join(" "), title: c.title2 },
      el("button", { type: "button", onclick: () => this.by(c) }, c.title)));
    this.select = el("select", { "aria-label": `Sort the ${label} by`, onchange: () => this.by(columns.find((c) => c.id === this.select.value)) },
      ...columns.map((c) => el("option", { value: c.id }, c.title)));
    this.body = el("tbody", { role: "rowgroup" });
    this.none = el("p", { class: "empty", hidden: true });
    this.table = el("table", { role: "table", "aria-label": label },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...this.heads)), this.body);
    root.append(el("label", { class: "sorting" }, "Sort by ", this.select), this.table, this.none);
    const fit = () => {
      root.classList.toggle("tight", root.clientWidth < widths[0]);
      root.classList.toggle("blocks", root.clientWidth < widths[1]);
    };
    new ResizeObserver(fit).observe(root);
    fit();
  }

  by(column) {
    const down = column.first !== "ascending";
    this.sort = { by: column.id, down: this.sort.by === column.id ? !this.sort.down : down };
    this.show(this.last, this.none.textContent);
  }

  show(rows, otherwise) {
    this.last = rows;
    const column = this.columns.find((c) => c.id === this.sort.by);
    const sign = this.sort.down ? -1 : 1;
    const sorted = rows.map((row) => [column.value(row), this.id(row), row]).sort(([a, ka], [b, kb]) => {
      const none = (a === null || a === undefined) - (b === null || b === undefined); // what is not known stands last
      if (none) return none;
      const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
      return order ? sign * order : ka < kb ? -1 : 1;
    });
    this.columns.forEach((c, i) => {
      if (c.id === this.sort.by) this.heads[i].setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else this.heads[i].removeAttribute("aria-sort");
    });
    if (this.select.value !== this.sort.by) this.select.value = this.sort.by;
    const seen = new Set();
    sorted.forEach(([, id, row], place) => {
      seen.add(id);
      let line = this.lines.get(id);
      if (!line) {
        line = { tr: el("tr", { role: "row" }), cells: [] };
        line.cells = this.columns.map((c) => {
          const td = el("td", { role: "cell", class: [c.num && "num", c.class].filter(Boolean).join(" "), "data-label": c.title });
          line.tr.append(td);
          return td;
        });
        this.lines.set(id, line);
      }
      this.columns.forEach((c, i) => Table.fill(line.cells[i], c.show(row)));
      if (this.rowClass) line.tr.className = this.rowClass(row);
      if (this.body.children[place] !== line.tr) this.body.insertBefore(line.tr, this.body.children[place] || null);
    });
    for (const [id, line] of this.lines) {
      if (!seen.has(id)) { line.tr.remove(); this.lines.delete(id); }
    }
    this.table.hidden = rows.length === 0;
    this.none.hidden = rows.length > 0;
    this.none.textContent = otherwise || "";
  }

  // fill puts content in a cell, unless it looks as before.
  static fill(td, content) {
    const nodes = [content].flat().filter((c) => c !== null && c !== undefined && c !== "");
    const now = nodes.map((n) => (typeof n === "string" ? n : n.outerHTML)).join("\u0000");
    if (td.shown === now) return;
    td.shown = now;
    // A bar moves on from where it was.
    const old = td.querySelector(".bar:not(.small)");
    const bar = nodes.length === 1 && nodes[0].className === "bar" && nodes[0];
    if (old && bar && old.children.length === bar.children.length) {
      [...bar.children].forEach((c, i) => { old.children[i].style.cssText = c.style.cssText; });
      old.style.cssText = bar.style.cssText;
      old.title = bar.title;
      return;
    }
    td.replaceChildren(...nodes);
  }
}
