// Figures that follow the thumb. Each maker draws once for a width and returns set(tick).

const EDGE = { left: 57, right: 13 }; // the slider's thumb centre travels between the same edges

const MAKERS = { curves: makeCurves, bars: makeBars, spectrum: makeSpectrum, relief: makeRelief };

function makeLive(root) {
  const head = element("h2", { className: "head" });
  const rest = element("p", { className: "rest" });
  const said = element("div", { className: "finding", ariaLive: "polite" }, head, rest);
  const grid = element("div", { className: "split" });
  root.append(said, grid);
  const view = { data: null, setters: [], width: 0 };

  // Another study may have fewer ticks than the bus still speaks of.
  function show(told) {
    const tick = Math.min(told, view.data.axis.count - 1);
    const finding = view.data.findings[tick];
    if (finding) {
      head.textContent = finding[0];
      rest.textContent = finding[1];
    }
    for (const set of view.setters) set(tick);
  }

  function label() {
    for (const [index, canvas] of root.querySelectorAll(".canvas").entries()) {
      canvas.ariaLabel = view.data.alts[index];
    }
  }

  function draw() {
    root.dataset.theme = themeOf(root);
    said.hidden = !view.data.findings.length;
    const boxes = view.data.figures.map((figure) =>
      element(
        "figure",
        { className: `figure ${figure.kind}` },
        element("figcaption", { textContent: figure.title }),
        element("div", { className: "canvas", role: "img" }),
      ),
    );
    grid.className = `split ${view.data.layout}`;
    grid.replaceChildren(...boxes);
    view.setters = view.data.figures.map((figure, index) =>
      MAKERS[figure.kind](boxes[index].lastChild, figure, view.data.axis),
    );
    show(tickFor(view.data.axis.recipe, view.data.tick));
    label();
  }

  const watcher = new ResizeObserver(() => {
    if (view.data && root.clientWidth && root.clientWidth !== view.width) {
      view.width = root.clientWidth;
      draw();
    }
  });
  const follows = follower(() => view.data?.axis.recipe, show);
  view.start = () => {
    watcher.observe(root);
    follows.start();
  };
  view.update = (data) => {
    const fresh = !view.data || view.data.version !== data.version || root.dataset.theme !== themeOf(root);
    view.data = data;
    if (fresh) {
      view.width = root.clientWidth;
      draw();
    } else {
      show(tickFor(data.axis.recipe, data.tick));
      label();
    }
  };
  view.stop = () => {
    watcher.disconnect();
    follows.stop();
  };
  return view;
}

function makeCurves(box, figure, axis) {
  const width = box.clientWidth;
  const gap = 24;
  const height = 188;
  const last = Math.max(axis.count - 1, 1);
  const x = (tick) => EDGE.left + (tick / last) * (width - EDGE.left - EDGE.right);
  const canvas = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  const room = height - 18 - gap * (figure.panels.length - 1);
  const dots = [];
  let top = 12;
  for (const [index, panel] of figure.panels.entries()) {
    const tall = room * panel.share;
    const scaled = panel.log ? Math.log10 : (value) => value;
    const [low, high] = panel.span.map(scaled);
    const base = top;
    const y = (value) => base + tall * (1 - (scaled(value) - low) / (high - low || 1));
    // The first panel is named by the caption above it.
    if (index > 0) canvas.append(shape("text", { class: "panel", x: EDGE.left, y: top - 5 }, panel.title));
    for (const tick of panel.ticks) {
      canvas.append(
        shape("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(tick.value), y2: y(tick.value) }),
        shape("text", { class: "tick", x: EDGE.left - 8, y: y(tick.value) + 4, "text-anchor": "end" }, tick.name),
      );
    }
    for (const one of panel.series) if (one.low) canvas.append(bandOf(one, x, y));
    for (const one of panel.series) {
      const points = one.y.map((value, tick) => (value === null ? null : [x(tick), y(value)]));
      const path = shape("path", {
        class: one.heavy ? "line heavy" : "line",
        d: line(points),
        "stroke-dasharray": DASHES[one.dash],
        "data-group": one.group,
      });
      const dot = shape("path", { class: one.heavy ? "dot heavy" : "dot", d: MARKS[one.mark] });
      for (const node of [path, dot]) paint(node, one);
      canvas.append(path);
      dots.push([dot, one.y, y]);
    }
    top += tall + gap;
  }
  const edge = shape("line", { class: "edge", y1: 4, y2: height - 2 });
  canvas.append(edge, ...dots.map(([dot]) => dot));
  box.replaceChildren(canvas);
  return (tick) => {
    edge.setAttribute("transform", `translate(${x(tick)},0)`);
    for (const [dot, values, y] of dots) {
      const value = values[tick];
      dot.style.display = value === null ? "none" : "";
      if (value !== null) dot.setAttribute("transform", `translate(${x(tick)},${y(value)})`);
    }
  };
}

function bandOf(one, x, y) {
  const ticks = one.y.map((_, tick) => tick).filter((tick) => one.low[tick] !== null && one.high[tick] !== null);
  const points = [
    ...ticks.map((tick) => [x(tick), y(one.high[tick])]),
    ...ticks.reverse().map((tick) => [x(tick), y(one.low[tick])]),
  ];
  const node = shape("path", { class: "band", d: `${line(points)}Z` });
  paint(node, one);
  return node;
}

function paint(node, look) {
  node.style.setProperty("--light", look.light);
  node.style.setProperty("--dark", look.dark);
}

function percent(value) {
  if (value === null) return "–";
  const scaled = 100 * value;
  return `${Math.abs(scaled - Math.round(scaled)) < 0.05 ? Math.round(scaled) : scaled.toFixed(1)}\u00a0%`;
}

function makeBars(box, figure) {
  const list = element("div", { className: "abilities" });
  box.replaceChildren(list);
  const highest = 1.1;
  const place = (value) => `${(100 * Math.min(Math.max(value, 0), highest)) / highest}%`;
  const rows = figure.bars.map((bar) => {
    const swatch = shape(
      "svg",
      { class: "swatch", width: 30, height: 14, viewBox: "-15 -7 30 14" },
      shape("line", { x1: -15, x2: 15, y1: 0, y2: 0, class: "line", "stroke-dasharray": DASHES[bar.dash] }),
      shape("path", { class: "dot", d: MARKS[bar.mark] }),
    );
    for (const node of swatch.children) paint(node, bar);
    const fill = element("span", { className: "fill" });
    paint(fill, bar);
    const whisker = element("span", { className: "whisker" });
    const value = element("span", { className: "value" });
    const track = element("span", { className: "track" }, element("span", { className: "whole", style: { left: place(1) } }), fill, whisker);
    if (bar.paper) {
      const [low, high] = bar.paper;
      track.append(
        element("span", {
          className: "paper",
          title: `Paper, OLMo-2 7B: ${low} to ${high}`,
          style: { left: place(low), width: `calc(${place(high)} - ${place(low)})` },
        }),
      );
    }
    list.append(element("div", { className: "ability" }, swatch, element("span", { className: "name", textContent: bar.name }), track, value));
    return { bar, fill, whisker, value };
  });
  if (figure.bars.some((bar) => bar.paper)) list.append(
    element("div", { className: "key" }, element("span", { className: "paper sample" }), element("span", { textContent: "range in the paper (OLMo-2 7B)" })),
  );
  return (tick) => {
    for (const { bar, fill, whisker, value } of rows) {
      const at = bar.value[tick];
      fill.style.width = at === null ? "0" : place(at);
      value.textContent = percent(at);
      const known = at !== null && bar.low[tick] !== null && bar.high[tick] !== null;
      whisker.hidden = !known;
      if (known) {
        whisker.style.left = place(bar.low[tick]);
        whisker.style.width = `calc(${place(bar.high[tick])} - ${place(bar.low[tick])})`;
      }
    }
  };
}

export default function ({ data, parentElement }) {
  return present(parentElement, makeLive, (view) => view.update(data));
}
