/* Draws the charts of a report. Data are in #charts; uPlot draws, this file adds legends, keys, themes and print. */
(() => {
  "use strict";
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const live = document.getElementById("live");
  const drawn = new Map(); // name -> {plot, spec, figure}
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // --- numbers as people read them
  const plain = (v) => {
    const a = Math.abs(v);
    if (a >= 1e9) return (v / 1e9).toPrecision(3) + "G";
    if (a >= 1e6) return (v / 1e6).toPrecision(3) + "M";
    if (a >= 1e4) return Math.round(v / 1e3) + "k";
    if (a >= 100 || a === 0) return String(Math.round(v));
    return String(Number(v.toPrecision(3)));
  };
  const seconds = (v) => (v === 0 ? "0" : Math.abs(v) < 0.9995 ? Number((v * 1e3).toPrecision(3)) + " ms" : Number(v.toPrecision(4)) + " s");
  const dollars = (v, digits) => // as the texts of a page write money
    (v < 0 ? "-$" : "$") + Math.abs(v).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const two = (v) => String(Math.floor(v)).padStart(2, "0");
  const hours = (v) => "day " + (Math.floor(v / 24) + 1) + (v % 24 ? ", " + two(v % 24) + ":" + two((v * 60) % 60) : "");
  const shown = {
    s: seconds, time: (v) => (v >= 7200 ? Number((v / 3600).toPrecision(4)) + " h" : Number(v.toPrecision(4)) + " s"), h: hours,
    share: (v) => Number((v * 100).toPrecision(3)) + " %", nines: (v) => Number(((1 - Math.pow(10, -v)) * 100).toFixed(3)) + " %",
    "tokens/s": (v) => plain(v) + "/s", usd: (v) => dollars(v, Math.abs(v) < 1e3 ? 2 : 0), "usd/h": (v) => dollars(v, 2),
    w: (v) => (Math.abs(v) >= 1e3 ? Number((v / 1e3).toPrecision(4)) + " kW" : Number(v.toPrecision(4)) + " W"),
    mhz: (v) => plain(v) + " MHz", number: plain, tokens: plain,
  };
  const format = (unit) => shown[unit] || ((v) => plain(v) + (unit ? " " + unit : ""));
  const value = (unit, v) => (v == null || Number.isNaN(v) ? "–" : format(unit)(v));

  // --- data
  const nine = (share) => -Math.log10(1 - Math.min(share, 0.9999));
  const apart = (xs) => { // a joined table has one place for each x: points above each other get places beside each other
    const seen = new Map();
    return xs.map((x) => { const n = seen.get(x) || 0; seen.set(x, n + 1); return x + n * 1e-6 * (Math.abs(x) || 1); });
  };
  const table = (spec) => {
    const own = spec.series.some((s) => s.x);
    const rows = spec.series.map((s) => (spec.yUnit === "nines" ? s.values.map(nine) : s.values));
    if (!own) return [spec.x, ...rows];
    return uPlot.join(spec.series.map((s, i) => [apart(s.x), rows[i]]));
  };

  // --- what is drawn besides the lines
  const beside = (spec) => (u) => {
    const c = u.ctx, { left, top, width, height } = u.bbox;
    c.save();
    c.beginPath(); c.rect(left, top, width, height); c.clip();
    if (spec.window) {
      const [a, b] = spec.window.map((x) => u.valToPos(x, "x", true));
      c.fillStyle = css("--shade");
      if (a > left) c.fillRect(left, top, a - left, height);
      if (b < left + width) c.fillRect(b, top, left + width - b, height);
    }
    const written = []; // boxes of the words of lines
    (spec.uprights || []).forEach((line) => {
      const x = u.valToPos(line.x, "x", true);
      c.strokeStyle = css("--ink"); c.lineWidth = devicePixelRatio; c.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      c.beginPath(); c.moveTo(x, top); c.lineTo(x, top + height); c.stroke(); c.setLineDash([]);
      c.fillStyle = css("--ink"); c.font = 11 * devicePixelRatio + "px system-ui, sans-serif"; c.textAlign = "right"; c.textBaseline = "top";
      c.fillText(line.label, x - 4 * devicePixelRatio, top + 2 * devicePixelRatio);
      written.push({ from: x - 4 * devicePixelRatio - c.measureText(line.label).width, to: x, top, low: top + 16 * devicePixelRatio });
    });
    (spec.levels || []).forEach((level) => {
      const y = u.valToPos(level.y, "y", true);
      c.strokeStyle = css("--ink"); c.lineWidth = devicePixelRatio; c.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      c.beginPath(); c.moveTo(left, y); c.lineTo(left + width, y); c.stroke(); c.setLineDash([]);
      if (level.label) {
        c.fillStyle = css("--ink"); c.font = 11 * devicePixelRatio + "px system-ui, sans-serif"; c.textAlign = "left";
        const above = y - 14 * devicePixelRatio > top; // at the upper edge it stands below its line
        c.textBaseline = above ? "bottom" : "top";
        c.fillText(level.label, left + 4 * devicePixelRatio, y + (above ? -2 : 3) * devicePixelRatio);
        written.push({ from: left, to: left + 4 * devicePixelRatio + c.measureText(level.label).width, top: y - (above ? 16 : 0) * devicePixelRatio,
          low: y + (above ? 0 : 17) * devicePixelRatio });
      }
    });
    const told = []; // boxes of words
    const clear = (a, b) => a.from >= b.to || b.from >= a.to || a.top >= b.low || b.top >= a.low;
    const px = devicePixelRatio, tall = 15 * px, far = 9 * px, edge = { from: left, to: left + width, top, low: top + height };
    const spots = []; // boxes of points
    told.push(...written);
    if ((spec.points || []).length) {
      u.series.slice(1).forEach((s, i) => s.show && u.data[i + 1].forEach((v, at) => {
        const x = u.valToPos(u.data[0][at], "x", true), y = v == null ? NaN : u.valToPos(v, "y", true);
        if (!Number.isNaN(y)) spots.push({ from: x - 5 * px, to: x + 5 * px, top: y - 5 * px, low: y + 5 * px });
      }));
    }
    (spec.points || []).forEach((p, nth) => { // the most important first: one that finds no room beside its point is left out
      const x = u.valToPos(p.x, "x", true), y = u.valToPos(p.y, "y", true);
      c.fillStyle = css("--ink"); c.font = "bold " + 12 * px + "px system-ui, sans-serif"; c.textBaseline = "bottom"; c.textAlign = "left";
      const lines = c.measureText(p.label).width > width - far ? p.label.split(", ") : [p.label]; // one below the other on a phone
      const long = Math.max(...lines.map((words) => c.measureText(words).width)), high = tall * lines.length;
      const mid = Math.min(Math.max(x - long / 2, left), left + width - long);
      const room = [[x + far, y - far / 2 - high], [x - far - long, y - far / 2 - high], [x + far, y + far / 2], [x - far - long, y + far / 2],
        [mid, y - far - high], [mid, y + far]].map(([from, at]) => ({ from, to: from + long, top: at, low: at + high }))
        .filter((b) => b.from >= edge.from && b.to <= edge.to && b.top >= edge.top && b.low <= edge.low && told.every((o) => clear(b, o)));
      const box = room.find((b) => spots.every((o) => clear(b, o))) || (nth ? null : room[0]); // the first may hide a point
      if (!box) return;
      told.push(box);
      lines.forEach((words, i) => c.fillText(words, box.from, box.top + (i + 1) * tall));
    });
    c.restore();
    c.save();
    const taken = []; // boxes of labels: one that would stand on another goes below it
    (spec.marks || []).forEach((m) => {
      const x = u.valToPos(m.x, "x", true), y = u.valToPos(spec.yUnit === "nines" ? nine(m.y) : m.y, "y", true), r = 6 * devicePixelRatio;
      if (x < left || x > left + width) return;
      c.fillStyle = css("--c" + m.colour);
      c.beginPath(); c.moveTo(x, y); c.lineTo(x + r * 1.6, y - r); c.lineTo(x + r * 1.6, y + r); c.closePath(); c.fill();
      c.fillStyle = css("--ink"); c.font = 11 * devicePixelRatio + "px system-ui, sans-serif"; c.textBaseline = "middle";
      const long = c.measureText(m.label).width, right = x + r * 2 + long < left + width, tall = 14 * devicePixelRatio;
      const from = right ? x + r * 2 : x - r - long;
      let at = y;
      while (taken.some((box) => from < box.to && from + long > box.from && Math.abs(at - box.at) < tall)) at += tall;
      taken.push({ from, to: from + long, at });
      c.textAlign = "left";
      c.fillText(m.label, from, at);
    });
    c.restore();
  };

  // --- one chart
  const axis = (more) => ({ stroke: css("--quiet"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, ...more });
  const days = (u, i, min, max) => { // whole days, or whole hours where few are shown
    const step = [1, 2, 6, 12, 24, 48, 72, 168].find((s) => (max - min) / s <= Math.min(9, u.width / 85)) || 336, found = [];
    for (let x = Math.ceil(min / step) * step; x <= max; x += step) found.push(x);
    return found;
  };
  const decades = (u, v, side = "x") => { // 1, 2, 5, or tens alone where a decade has no room for three labels
    const { min, max } = u.scales[side], length = side === "x" ? u.bbox.width : 3 * u.bbox.height;
    const room = length / devicePixelRatio / Math.max(Math.log10(max / min), 0.1);
    const leads = room >= 165 ? [1, 2, 5] : [1], sparse = Math.ceil(46 / room);
    return v.map((x) => {
      if (x == null) return null;
      const power = Math.floor(Math.log10(x) + 1e-9), lead = Math.round(x / Math.pow(10, power) * 1e6) / 1e6;
      return leads.includes(lead) && power % sparse === 0 ? x : null;
    });
  };
  const room = (u, values) => { // as much as the longest number takes beside a chart
    if (!values) return 72;
    u.ctx.save();
    u.ctx.font = 12 * devicePixelRatio + "px system-ui, sans-serif";
    const widest = Math.max(...values.map((v) => u.ctx.measureText(v || "").width)) / devicePixelRatio;
    u.ctx.restore();
    return Math.max(60, Math.ceil(widest) + 20);
  };
  const stepped = uPlot.paths.stepped({ align: 1 });
  const options = (spec, width, height, report) => {
    const xUnit = spec.xUnit === "s" && !spec.xLog ? "time" : spec.xUnit;
    const nines = spec.yUnit === "nines";
    return {
      width, height, legend: { show: false }, padding: [10, 26, 0, 0],
      cursor: { drag: { x: true, y: false }, ...(spec.sync ? { sync: { key: spec.sync } } : {}) },
      scales: {
        x: { time: false, ...(spec.xLog ? { distr: 3 } : {}) },
        y: nines ? { range: [0, 3.05] } : spec.yLog ? { distr: 3 } : { range: (u, lo, hi) => {
          if (lo == null) return [0, 1];
          if (spec.reach) { hi = Math.max(hi, ...spec.levels.map((level) => level.y)); lo = Math.min(lo, ...spec.levels.map((level) => level.y)); }
          const from = spec.zero ? Math.min(0, lo) : lo - 0.08 * (hi - lo || Math.abs(hi) || 1);
          return [from, hi > from ? hi + 0.06 * (hi - from) : from + 1];
        } },
      },
      axes: [
        axis({ label: spec.xLabel, labelSize: 20, size: 34,
          ...(spec.xLog ? { values: (u, v) => decades(u, v).map((x) => (x == null ? "" : format(xUnit)(x))), filter: (u, v) => v }
            : xUnit === "h" ? { splits: days, values: (u, v) => v.map((x) => (x % 24 ? two(x % 24) + ":00" : "day " + (x / 24 + 1))) }
            : spec.xNames ? { splits: () => spec.x, values: (u, v) => v.map((x) => spec.xNames[spec.x.indexOf(x)] ?? "") }
            : { values: (u, v) => v.map((x) => format(xUnit)(x)) }) }),
        axis({ label: spec.yLabel, labelSize: spec.yLabel ? 20 : 0, size: room,
          ...(spec.yLog ? { values: (u, v) => decades(u, v, "y").map((y) => (y == null ? "" : format(spec.yUnit)(y))), filter: (u, v) => v }
            : { values: (u, v) => v.map((y) => format(spec.yUnit)(y)) }),
          ...(nines ? { splits: () => [0, Math.log10(2), 1, 2, 3] } : {}) }),
      ],
      series: [{}, ...spec.series.map((s) => ({
        label: s.label, stroke: css("--c" + s.colour), width: s.points ? 0 : 1.75, dash: s.dash, spanGaps: true, show: s.show !== false,
        ...(s.points ? { paths: () => null } : s.stepped ? { paths: stepped } : {}),
        ...(s.fill ? { fill: css("--shade") } : {}),
        points: s.points || s.dots ? { show: true, size: s.points || 7, fill: s.hollow ? css("--panel") : css("--c" + s.colour), stroke: css("--c" + s.colour) } : { show: false },
      }))],
      hooks: {
        draw: [beside(spec)],
        setCursor: [(u) => report(u)],
        setScale: [(u, key) => { if (key === "x" && spec.sync) follow(u, spec.sync); }],
      },
    };
  };
  let following = false;
  const follow = (u, key) => { // zooming one chart zooms those that share its axis
    if (following) return;
    following = true;
    const { min, max } = u.scales.x;
    drawn.forEach((d) => { if (d.spec.sync === key && d.plot !== u && d.plot.scales.x.min != null) d.plot.setScale("x", { min, max }); });
    following = false;
  };

  const swatch = (s) => {
    const mark = s.points ? `<circle cx="11" cy="5" r="4" fill="${s.hollow ? "none" : `var(--c${s.colour})`}" stroke="var(--c${s.colour})"/>`
      : `<line x1="0" x2="22" y1="5" y2="5" stroke="var(--c${s.colour})" stroke-width="3" stroke-dasharray="${(s.dash || []).join(" ")}"/>`;
    return `<svg width="22" height="10" aria-hidden="true">${mark}</svg>`; // numbers of our own only
  };
  const draw = (figure) => {
    const name = figure.dataset.chart, spec = specs[name], plotBox = figure.querySelector(".plot"), legend = figure.querySelector(".legend");
    const before = drawn.get(name);
    const hidden = before ? before.plot.series.slice(1).map((s) => s.show) : null;
    if (before) before.plot.destroy();
    legend.replaceChildren();
    const buttons = spec.series.map((s) => {
      const b = document.createElement("button");
      b.type = "button"; b.innerHTML = swatch(s);
      const words = document.createElement("span"); words.textContent = s.label;
      const out = document.createElement("output");
      b.append(words, out); legend.append(b);
      return b;
    });
    const data = table(spec), xUnit = spec.xUnit === "s" && !spec.xLog ? "time" : spec.xUnit;
    const report = (u) => {
      const i = u.cursor.idx;
      buttons.forEach((b, k) => {
        let v = i == null ? null : u.data[k + 1][i];
        if (i != null && v == null && spec.series[k].x) for (let j = i; j >= 0 && v == null; j--) v = u.data[k + 1][j];
        b.querySelector("output").textContent = i == null ? "" : value(spec.yUnit, v);
      });
      figure.dataset.at = i == null ? "" : (spec.xNames ? spec.xNames[i] : value(xUnit, u.data[0][i]));
    };
    const paper = root.dataset.before ? (figure.classList.contains("whole") ? 900 : 450) : 0; // wider than what A4 leaves, so that words shrink to those beside
    const width = paper || Math.max(260, plotBox.clientWidth), tall = spec.height || (spec.yUnit === "nines" ? 320 : 210);
    const height = paper ? Math.round((paper > 500 ? 0.8 : 1) * tall) : tall;
    const plot = new uPlot(options(spec, width, height, report), data, plotBox);
    drawn.set(name, { plot, spec, figure });
    buttons.forEach((b, k) => {
      const press = (on) => { plot.setSeries(k + 1, { show: on }); b.setAttribute("aria-pressed", String(on)); };
      b.setAttribute("aria-pressed", "true");
      if (hidden && !hidden[k]) press(false);
      b.addEventListener("click", () => press(b.getAttribute("aria-pressed") !== "true"));
    });
    return plot;
  };

  // --- keys: arrows move, + - zoom, 0 shows all
  const keys = (figure) => figure.querySelector(".plot").addEventListener("keydown", (event) => {
    const { plot, spec } = drawn.get(figure.dataset.chart), x = plot.data[0], last = x.length - 1;
    const at = plot.cursor.idx ?? -1, step = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const move = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: last }[event.key];
    if (move !== undefined) {
      const i = Math.min(last, Math.max(0, move));
      plot.setCursor({ left: plot.valToPos(x[i], "x"), top: plot.over.clientHeight / 2 });
      const said = [...figure.querySelectorAll(".legend button[aria-pressed=true]")].map((b) => b.textContent.trim());
      live.textContent = [figure.dataset.at, ...said].join(", ");
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const { min, max } = plot.scales.x, log = spec.xLog, to = log ? Math.log10 : (v) => v, back = log ? (v) => Math.pow(10, v) : (v) => v;
      const middle = at >= 0 ? to(x[at]) : (to(min) + to(max)) / 2, factor = event.key === "-" ? 2 : 0.5;
      plot.setScale("x", { min: Math.max(x[0], back(middle - (middle - to(min)) * factor)), max: Math.min(x[last], back(middle + (to(max) - middle) * factor)) });
    } else if (event.key === "0" || event.key === "Escape") {
      plot.setScale("x", { min: x[0], max: x[last] });
    } else return;
    event.preventDefault();
  });

  // --- themes
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const wear = (theme) => { root.dataset.theme = theme; drawAll(); };
  const drawAll = () => figures.forEach(draw);
  const figures = [...document.querySelectorAll("figure.chart")];
  document.getElementById("theme").addEventListener("click", () => wear((chosen = root.dataset.theme === "dark" ? "light" : "dark")));
  dark.addEventListener("change", () => { if (!chosen) wear(dark.matches ? "dark" : "light"); });
  addEventListener("beforeprint", () => { root.dataset.before ||= root.dataset.theme; document.querySelectorAll("details:not([data-long])").forEach((d) => (d.open = true)); wear("light"); });
  addEventListener("afterprint", () => { const before = root.dataset.before; delete root.dataset.before; if (before) wear(before); });

  // --- sliders over planned points: they choose, and compute nothing
  const element = (tag, words, name) => { const e = document.createElement(tag); if (words != null) e.textContent = words; if (name) e.className = name; return e; };
  const choices = JSON.parse(document.getElementById("pickers").textContent);
  document.querySelectorAll(".picker").forEach((box) => {
    const { knobs, points } = choices[box.dataset.picker];
    const tiles = element("dl", null, "tiles"), sliders = [];
    tiles.setAttribute("aria-live", "polite");
    const show = () => {
      const found = points[sliders.map((s) => s.value).join(",")] || [["verdict", "not planned", "no point of the sweep"]];
      tiles.replaceChildren(...found.map(([label, value, note]) => {
        const tile = element("div");
        const small = element("dd", null, "note"); // names with hyphens are folded at their commas only
        note.split(", ").forEach((part, i, all) => small.append(i ? " " : "", element("span", part + (i + 1 < all.length ? "," : ""), "k")));
        tile.append(element("dt", label), element("dd", value), small);
        return tile;
      }));
    };
    knobs.forEach(([key, values]) => {
      const row = element("label"), slider = element("input"), out = element("output", values[0]);
      Object.assign(slider, { type: "range", min: 0, max: values.length - 1, step: 1 });
      slider.value = 0;
      slider.setAttribute("aria-valuetext", values[0]);
      slider.addEventListener("input", () => { out.textContent = values[slider.value]; slider.setAttribute("aria-valuetext", values[slider.value]); show(); });
      row.append(element("span", key), slider, out);
      sliders.push(slider); box.append(row);
    });
    box.append(tiles, element("p", "Only points that were planned and simulated: nothing between them is computed.", "note"));
    show();
  });

  // --- copying
  document.querySelectorAll("button.copy").forEach((b) => b.addEventListener("click", async () => {
    const pre = document.getElementById(b.dataset.copy);
    const range = document.createRange(); range.selectNodeContents(pre);
    getSelection().removeAllRanges(); getSelection().addRange(range);
    try { await navigator.clipboard.writeText(pre.textContent); } catch { document.execCommand("copy"); }
    b.textContent = "Copied"; setTimeout(() => (b.textContent = "Copy"), 1500);
  }));

  wear(dark.matches ? "dark" : "light");
  figures.forEach(keys);
  let waiting = 0;
  new ResizeObserver(() => { clearTimeout(waiting); waiting = setTimeout(() => drawn.forEach(({ plot, figure }) => {
    const width = Math.max(260, figure.querySelector(".plot").clientWidth);
    if (Math.abs(width - plot.width) > 1) plot.setSize({ width, height: plot.height });
  }), 60); }).observe(document.querySelector("main"));
  root.dataset.ready = String(drawn.size);
})();
