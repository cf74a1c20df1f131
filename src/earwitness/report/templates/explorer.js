
// Labels: a table whose rows are made as they are scrolled into view, the dots of a figure, and the chosen label beside
// it. All numbers are in #label-data, and how they are shown; see report/label_data.py.
{
  const { numClips, columns: data, units, formats, plot, panel: shownInPanel, first, confused, curves, listen } = JSON.parse(document.getElementById("label-data").textContent);
  const number = data.name.length;
  const explorer = document.getElementById("explorer");
  const viewport = explorer.querySelector(".viewport");
  const table = viewport.querySelector("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const panel = explorer.querySelector(".chosen");
  const status = explorer.querySelector(".count");
  const dots = explorer.querySelector(".dots");

  // a number of a label, null where undefined
  const values = {
    prior: (i) => data.positives[i] / numClips,
    positives: (i) => data.positives[i],
    bar: (i) => value("average_precision", i),
  };
  const value = (name, i) => (values[name] ? values[name](i) : data[name]?.[i] == null ? null : data[name][i] * (units[name] ?? 1));
  // the last digit of a number is for sorting; see report/label_data.py
  const fixed = (name, i, digits) => (Math.floor((data[name][i] + 5) / 10) / 10 ** digits).toFixed(digits).replace("-", "−");
  const texts = {
    count: (x) => x.toLocaleString("en"),
    share: (x) => (x > 0 ? (100 * x).toFixed(Math.max(0, 2 - Math.floor(Math.log10(100 * x)))) : "0"),
    fixed2: (x, i, name) => fixed(name, i, 2),
    fixed3: (x, i, name) => fixed(name, i, 3),
    change: (x, i, name) => (data[name][i] >= 5 ? "+" : "") + fixed(name, i, 3),
    percent: (x, i, name) => `${Math.floor((data[name][i] + 5) / 10)} %`,
    threshold: (x) => (x === 1e300 ? "never" : x > 0 && x < 1e-4 ? x.toExponential() : String(x)),
    interval: (x, i) => `${fixed("low", i, 3)} … ${fixed("high", i, 3)}`,
  };
  const text = (name, i) => {
    if (name === "name") return data.name[i];
    const x = value(name, i);
    return x == null ? "–" : texts[formats[name]](x, i, name);
  };
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, given] of Object.entries(attributes)) made.setAttribute(name, given);
    made.append(...children);
    return made;
  };
  const percent = (x) => `${100 * Math.min(Math.max(x, 0), 1)}%`;
  const bar = (i) => {
    const made = element("span", { class: "bar", "aria-hidden": "true" });
    const precision = value("average_precision", i);
    if (precision == null) return made;
    made.append(element("i", { style: `width:${percent(precision)}` }));
    const [low, high] = [value("low", i), value("high", i)];
    if (low != null) made.append(element("b", { class: "interval", style: `left:${percent(low)};width:${percent(high - low)}` }));
    made.append(element("b", { class: "chance", style: `left:${percent(value("prior", i))}` }));
    return made;
  };

  // which labels are shown, in which order
  const folded = data.name.map((name, i) => `${name}\n${data.id?.[i] ?? ""}`.toLowerCase());
  const collator = new Intl.Collator(undefined, { numeric: true });
  let order = []; // all labels, sorted
  let shown = []; // those of them that are searched for
  let sorted = { name: first, isDescending: true };
  let wanted = "";
  let chosen = null;

  const sort = () => {
    const { name, isDescending } = sorted;
    order = data.name.map((_, i) => i);
    if (name === "name") {
      order.sort((a, b) => collator.compare(data.name[a], data.name[b]));
      if (isDescending) order.reverse();
      return;
    }
    const keys = Float64Array.from(order, (i) => value(name, i) ?? NaN);
    const sign = isDescending ? -1 : 1;
    // undefined ones last, whichever way
    order.sort((a, b) => Number.isNaN(keys[a]) - Number.isNaN(keys[b]) || sign * (keys[a] - keys[b]) || a - b);
  };
  const filter = () => {
    shown = wanted ? order.filter((i) => folded[i].includes(wanted)) : order;
    status.textContent = wanted
      ? `${shown.length.toLocaleString("en")} of ${number.toLocaleString("en")} labels`
      : `${number.toLocaleString("en")} ${number === 1 ? "label" : "labels"}`;
    table.setAttribute("aria-rowcount", shown.length + 1);
  };

  // rows: as many as fit, and a few more; empty ones above and below stand for all others
  const [above, below] = ["above", "below"].map(() => element("tr", { class: "space", "aria-hidden": "true" }, element("td", { colspan: heads.length })));
  const pool = [];
  let rowHeight = body.rows[0]?.getBoundingClientRect().height || 32;
  let firstShown = 0;

  const makeRow = () => {
    const row = element("tr", { tabindex: "-1" });
    for (const head of heads) {
      const cell = head.dataset.column === "name" ? element("th", { scope: "row" }) : element("td", { class: head.className });
      row.append(cell);
    }
    row.addEventListener("click", () => choose(Number(row.dataset.label)));
    return row;
  };
  const fill = (row, place) => {
    const i = shown[place];
    row.dataset.label = i;
    row.setAttribute("aria-rowindex", place + 2);
    row.setAttribute("aria-selected", i === chosen);
    row.tabIndex = i === chosen ? 0 : -1;
    heads.forEach((head, column) => {
      const { column: name } = head.dataset;
      const cell = row.cells[column];
      if (name === "bar") cell.replaceChildren(bar(i));
      else cell.textContent = text(name, i);
      if (name === "name") cell.title = data.id ? `${data.name[i]} (${data.id[i]})` : data.name[i];
    });
  };
  const render = (isPrinted = false) => {
    const most = isPrinted ? 50 : Math.ceil(viewport.clientHeight / rowHeight) + 8;
    const count = Math.min(most, shown.length);
    const room = shown.length - count;
    firstShown = isPrinted ? 0 : Math.min(Math.max(Math.floor(viewport.scrollTop / rowHeight) - 4, 0), room);
    const hadFocus = pool.includes(document.activeElement);
    if (pool.length !== count || body.firstChild !== above) {
      while (pool.length < count) pool.push(makeRow());
      pool.length = count;
      body.replaceChildren(above, ...pool, below);
    }
    above.firstChild.style.height = `${isPrinted ? 0 : firstShown * rowHeight}px`;
    below.firstChild.style.height = `${isPrinted ? 0 : (room - firstShown) * rowHeight}px`;
    pool.forEach((row, offset) => fill(row, firstShown + offset));
    if (hadFocus) (pool.find((row) => Number(row.dataset.label) === chosen) ?? viewport).focus({ preventScroll: true });
  };
  const show = () => {
    filter();
    viewport.scrollTop = 0;
    render();
    markHits();
  };
  const scrollTo = (place) => {
    const head = table.tHead.getBoundingClientRect().height;
    const [top, bottom] = [place * rowHeight, (place + 1) * rowHeight + head];
    if (top < viewport.scrollTop) viewport.scrollTop = top;
    else if (bottom > viewport.scrollTop + viewport.clientHeight) viewport.scrollTop = bottom - viewport.clientHeight;
    render();
  };

  // the chosen label
  const choose = (i, { withFocus = false } = {}) => {
    chosen = i;
    let place = shown.indexOf(i);
    if (place < 0) {
      search.value = wanted = "";
      show();
      place = shown.indexOf(i);
    }
    scrollTo(place);
    if (withFocus) pool[place - firstShown]?.focus();
    showPanel(i);
    ring(i);
    if (!withFocus) panel.scrollIntoView({ block: "nearest" }); // on a narrow screen it is below the table
  };
  const fact = (name, i, title) => (data[name] ? [element("dt", {}, title), element("dd", {}, text(name, i))] : []);
  const showPanel = (i) => {
    const parts = [element("h3", {}, data.name[i])];
    parts.push(element("p", { class: "soft of" }, `${data.id ? `${data.id[i]} · ` : ""}${text("positives", i)} clips · prior ${text("prior", i)} %`));
    if (value(shownInPanel.big, i) == null) parts.push(element("p", {}, "Undefined: no clip has it, or every clip has it."));
    else {
      const interval = value("low", i) == null ? "" : ` [${text("low", i)}]`;
      parts.push(element("p", { class: "big" }, text(shownInPanel.big, i), element("small", {}, ` ${shownInPanel.title}${interval}`)));
      parts.push(element("dl", { class: "facts" }, ...shownInPanel.facts.flatMap(([name, title]) => fact(name, i, title))));
    }
    if (curves?.[i]) parts.push(curve(i));
    const others = confused?.[i] ?? [];
    if (others.length) {
      const list = element("ul", { class: "chips" });
      for (let at = 0; at < others.length; at += 4) {
        const [other, clips, of, lift] = others.slice(at, at + 4);
        const button = element("button", { class: "chip", type: "button" }, `${data.name[other]} `, element("small", {}, `${clips} of ${of}, ${(lift / 10).toFixed(lift < 100 ? 1 : 0)} × chance`));
        button.addEventListener("click", () => choose(other));
        list.append(element("li", {}, button));
      }
      parts.push(element("p", { class: "soft why" }, "What its highest false alarms carry"), list);
    }
    if (listen?.includes(i)) parts.push(element("p", {}, element("a", { href: `#listen-${i}` }, "Listen to its errors")));
    panel.hidden = false;
    panel.replaceChildren(...parts);
  };
  const curve = (i) => {
    const points = curves[i];
    const [left, top, width, height] = [26, 20, 256, 122];
    const [x, y] = [(recall) => (left + recall * width).toFixed(1), (precision) => (top + (1 - precision) * height).toFixed(1)];
    let path = "";
    for (let at = 0; at < points.length; at += 2) path += `${path ? "L" : "M"}${x(points[at] / 1000)} ${y(points[at + 1] / 1000)}`;
    const holder = element("div", { class: "curve-of-label" });
    const [recall, precision] = [value("recall", i), value("precision", i)];
    const dot = recall == null || precision == null ? "" : `<circle class="dot" cx="${x(recall)}" cy="${y(precision)}" r="4.5"><title>at the threshold</title></circle>`;
    const lines = [0, 0.5, 1].map((share) => `<line class="grid" x1="${left}" x2="${left + width}" y1="${y(share)}" y2="${y(share)}"/><text x="${left - 5}" y="${Number(y(share)) + 3.5}" text-anchor="end">${share}</text><text x="${x(share)}" y="${top + height + 14}" text-anchor="middle">${share}</text>`);
    holder.innerHTML = `<svg viewBox="0 0 290 172" role="img" aria-label="precision against recall">${lines.join("")}<line class="zero" x1="${left}" x2="${left + width}" y1="${y(value("prior", i))}" y2="${y(value("prior", i))}"/><path class="mean" d="${path}"/>${dot}<text x="0" y="9">precision</text><text x="${left + width}" y="${top + height + 28}" text-anchor="end">recall</text></svg>`;
    return holder;
  };

  // the dots: each has a place from its numbers; one over all colours marks what is searched for
  let places = null;
  const tip = element("div", { class: "tip", hidden: "" });
  const mark = element("div", { class: "ring", hidden: "" });
  const ring = (i) => {
    if (!places) return;
    mark.hidden = Number.isNaN(places[2 * i]);
    mark.style.left = percent(places[2 * i]);
    mark.style.top = percent(places[2 * i + 1]);
  };
  const markHits = () => {
    if (!places) return;
    const hits = wanted ? shown.filter((i) => !Number.isNaN(places[2 * i])) : [];
    dots.classList.toggle("is-searched", wanted !== "");
    const { width, height } = dots.querySelector("svg").viewBox.baseVal;
    dots.querySelector(".hits").setAttribute("d", hits.map((i) => `M${(width * places[2 * i]).toFixed(1)} ${(height * places[2 * i + 1]).toFixed(1)}h0`).join(""));
  };
  if (dots) {
    const at = Object.fromEntries(Object.entries(dots.dataset).map(([name, given]) => [name, Number(given)]));
    places = new Float64Array(2 * number).fill(NaN);
    for (let i = 0; i < number; i++) {
      const [x, y] = [value(plot.x, i), value(plot.y, i)];
      if (x == null || y == null) continue;
      places[2 * i] = at.left + (((plot.isLog ? Math.log10(x) : x) - at.lowX) / (at.highX - at.lowX)) * (at.right - at.left);
      places[2 * i + 1] = at.bottom - ((y - at.lowY) / (at.highY - at.lowY)) * (at.bottom - at.top);
    }
    dots.append(mark, tip);
    const nearest = (pointer) => {
      const box = dots.getBoundingClientRect();
      const [x, y] = [pointer.clientX - box.left, pointer.clientY - box.top];
      let [best, least] = [null, 24 ** 2];
      for (const i of wanted ? shown : order) {
        const distance = (places[2 * i] * box.width - x) ** 2 + (places[2 * i + 1] * box.height - y) ** 2;
        if (distance < least) [best, least] = [i, distance];
      }
      return best;
    };
    dots.addEventListener("pointermove", (pointer) => {
      const i = nearest(pointer);
      tip.hidden = i == null;
      dots.style.cursor = i == null ? "" : "pointer";
      if (i == null) return;
      tip.replaceChildren(element("strong", {}, data.name[i]), element("span", {}, `${plot.tip.map(([name, title]) => `${title} ${text(name, i)}`).join(" · ")} · ${text("positives", i)} clips`));
      const [x, y] = [places[2 * i], places[2 * i + 1]];
      tip.style.left = percent(x);
      tip.style.top = percent(y);
      tip.className = `tip${x > 0.6 ? " to-left" : ""}${y < 0.25 ? " to-bottom" : ""}`;
    });
    dots.addEventListener("pointerleave", () => (tip.hidden = true));
    dots.addEventListener("click", (pointer) => {
      const i = nearest(pointer);
      if (i != null) choose(i);
    });
  }

  // heads sort; a field searches; arrows go from label to label
  for (const head of heads) {
    if (head.dataset.column === "bar") continue;
    const button = element("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const name = head.dataset.column;
      sorted = { name, isDescending: sorted.name === name ? !sorted.isDescending : name !== "name" };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted.isDescending ? "descending" : "ascending");
      sort();
      show();
    });
  }
  const search = element("input", { type: "search", class: "search", placeholder: "Search labels", "aria-label": "Search labels", autocomplete: "off", spellcheck: "false" });
  status.before(search);
  search.addEventListener("input", () => {
    wanted = search.value.trim().toLowerCase();
    show();
  });
  search.addEventListener("keydown", (key) => {
    if (key.key === "ArrowDown" && shown.length) {
      key.preventDefault();
      choose(shown[0], { withFocus: true });
    }
  });
  viewport.addEventListener("keydown", (key) => {
    if (key.target.closest("thead")) return;
    const page = Math.max(1, Math.floor(viewport.clientHeight / rowHeight) - 2);
    const now = shown.indexOf(chosen);
    const target = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: shown.length - 1 }[key.key];
    if (target === undefined || !shown.length) return;
    key.preventDefault();
    choose(shown[Math.min(Math.max(target, 0), shown.length - 1)], { withFocus: true });
  });
  let isWaiting = false;
  viewport.addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      render();
    });
  });
  addEventListener("resize", () => {
    rowHeight = pool[0]?.getBoundingClientRect().height || rowHeight;
    render();
  });
  addEventListener("beforeprint", () => render(true));
  addEventListener("afterprint", () => render());

  table.setAttribute("role", "grid");
  viewport.tabIndex = 0;
  explorer.classList.add("is-live");
  sort();
  show();
  if (shown.length) {
    chosen = shown[0];
    render();
    showPanel(chosen);
    ring(chosen);
  }
}
