// A slider over how many examples are averaged, and one bar an example's own direction.

const TALL = 190; // pixels of the bars
const ROOM = { left: 46, right: 8, top: 16, bottom: 26 };

function makeAveraging(root) {
  const range = element("input", { type: "range", className: "n", min: 0, step: 1 });
  const number = element("output", { className: "number" });
  const said = element("p", { className: "said", ariaLive: "polite" });
  const label = element("label", { className: "label" }, "");
  const panels = element("div", { className: "split even" });
  root.append(element("div", { className: "slide" }, label, range, number), said, panels);
  const view = { data: null, text: "", width: 0, setters: [], at: 0 };

  function show() {
    const { steps, said: sentences, label: name } = view.data;
    number.textContent = `n = ${steps[view.at]}`;
    range.setAttribute("aria-valuetext", `${name}: ${steps[view.at]}`);
    said.textContent = sentences[view.at];
    for (const set of view.setters) set(view.at);
  }

  function draw() {
    root.dataset.theme = themeOf(root);
    label.textContent = view.data.label;
    range.setAttribute("aria-label", view.data.label);
    range.max = view.data.steps.length - 1;
    view.at = Math.min(view.at, view.data.steps.length - 1);
    range.value = view.at;
    const boxes = view.data.panels.map((panel) =>
      element(
        "figure",
        { className: "figure" },
        element("figcaption", { textContent: panel.name }),
        element("div", { className: "canvas", role: "img", ariaLabel: view.data.alt }),
      ),
    );
    panels.replaceChildren(...boxes);
    view.setters = view.data.panels.map((panel, index) => makeSkyline(boxes[index].lastChild, panel, view.data));
    show();
  }

  range.addEventListener("input", () => {
    view.at = Number(range.value);
    show();
  });
  const watcher = new ResizeObserver(() => {
    if (view.data && root.clientWidth !== view.width) {
      view.width = root.clientWidth;
      draw();
    }
  });
  view.start = () => watcher.observe(root);
  view.stop = () => watcher.disconnect();
  view.update = (data) => {
    const text = JSON.stringify(data);
    if (text === view.text && root.dataset.theme === themeOf(root)) return;
    view.text = text;
    view.data = data;
    view.width = root.clientWidth;
    draw();
  };
  return view;
}

function makeSkyline(box, panel, data) {
  const width = box.clientWidth;
  const height = TALL + ROOM.top + ROOM.bottom;
  const base = ROOM.top + TALL;
  const y = (value) => base - (TALL * Math.min(value, data.ceiling)) / data.ceiling;
  const canvas = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  for (const value of [0, 0.5, 1]) {
    canvas.append(
      shape("line", { class: "grid", x1: ROOM.left, x2: width - ROOM.right, y1: y(value), y2: y(value) }),
      shape("text", { class: "tick", x: ROOM.left - 7, y: y(value) + 4, "text-anchor": "end" }, `${100 * value}\u00a0%`),
    );
  }
  const count = panel.heights[0].length;
  const wide = (width - ROOM.left - ROOM.right) / count;
  const bars = panel.heights[0].map((_, index) => {
    const x = ROOM.left + (index + 0.14) * wide;
    const bar = shape("rect", { class: "bar", x, width: 0.72 * wide });
    const tip = shape("path", {
      class: "bar tip",
      d: `M${x},${ROOM.top}h${0.72 * wide}l${-0.36 * wide},-7Z`,
    });
    for (const node of [bar, tip]) {
      node.style.setProperty("--light", panel.light);
      node.style.setProperty("--dark", panel.dark);
    }
    canvas.append(bar, tip);
    return { bar, tip };
  });
  const level = shape("line", { class: "level", x1: ROOM.left, x2: width - ROOM.right });
  const name = shape("text", { class: "unit", x: width - ROOM.right, "text-anchor": "end" }, "1/n");
  canvas.append(
    level,
    name,
    shape("text", { class: "unit", x: (ROOM.left + width) / 2, y: height - 6, "text-anchor": "middle" }, data.axis),
    shape("text", { class: "unit", x: ROOM.left, y: 9 }, data.unit),
  );
  box.replaceChildren(canvas);
  return (at) => {
    const n = data.steps[at];
    for (const [index, { bar, tip }] of bars.entries()) {
      const value = panel.heights[at][index];
      const top = y(value);
      bar.setAttribute("y", top);
      bar.setAttribute("height", Math.max(base - top, 0.5));
      for (const node of [bar, tip]) node.classList.toggle("out", index >= n);
      tip.style.display = value > data.ceiling ? "" : "none";
    }
    const line = y(1 / n);
    level.setAttribute("y1", line);
    level.setAttribute("y2", line);
    name.setAttribute("y", line - 5);
  };
}

export default function ({ data, parentElement }) {
  return present(parentElement, makeAveraging, (view) => view.update(data));
}
