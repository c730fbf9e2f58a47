// The one-file page: the parts of the scrubber and Plotly on numbers that lie in the file itself.
// Nothing is asked of any server; every text is set through textContent.

const stored = JSON.parse(document.getElementById("stored").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const mounted = [];
const bus = window.hillshadeBus;
bus.tick = stored.tick;

// A part in a shadow root, as Streamlit gives it one; `data()` is read anew when the theme changes.
function mount(host, name, data, on) {
  const root = document.createElement("div");
  const style = document.createElement("style");
  root.className = "root";
  style.textContent = stored.styles[name];
  const shadow = host.attachShadow({ mode: "open" });
  shadow.append(style, root);
  const draw = () => parts[name]({ data: data(), parentElement: shadow, setTriggerValue: on ?? (() => {}) });
  mounted.push(draw);
  draw();
  return draw;
}

const at = (id) => document.getElementById(id);

mount(at("bar"), "bar", () => ({ ...stored.bar, tick: bus.tick }));

for (const [id, live] of Object.entries(stored.live)) {
  const draw = mount(at(id), "live", () => ({ ...live, tick: bus.tick, alts: live.alts[bus.tick] }));
  let last = bus.tick;
  bus.addEventListener("tick", () => {
    if (last !== bus.tick) draw(); // the sentences that describe the pictures
    last = bus.tick;
  });
}

for (const [id, pages] of Object.entries(stored.texts)) {
  let number = 1;
  const turn = (name, to) => {
    number = Math.min(Math.max(to, 1), pages.length);
    draw();
  };
  const draw = mount(at(id), "texts", () => ({ ...pages[number - 1], page: number, pages: pages.length, tick: bus.tick }), turn);
}

function node(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function tableOf({ columns, rows }) {
  const head = node("tr", null, ...columns.map((name) => node("th", name)));
  const body = rows.map((row) => node("tr", null, ...row.map((cell) => node("td", cell === null ? "" : String(cell)))));
  return node("table", null, node("thead", null, head), node("tbody", null, ...body));
}

function figureOf(one) {
  const chart = node("div", null);
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", one.alt);
  const folded = node("details", null, node("summary", "Show as table"));
  folded.addEventListener("toggle", () => {
    if (folded.children.length > 1) return;
    const box = node("div", null, tableOf(one.table));
    box.className = "table";
    folded.append(box);
  });
  const how = node("p", one.how);
  how.className = "quiet";
  const draw = () => {
    const { data, layout } = one[dark.matches ? "dark" : "light"];
    const config = one.config;
    Plotly.react(chart, structuredClone(data), structuredClone(layout), config);
  };
  return { section: node("section", null, node("h3", one.title), node("p", one.alt), chart, how, folded), draw };
}

for (const [id, figures] of Object.entries(stored.figures)) {
  for (const one of figures) {
    const { section, draw } = figureOf(one);
    at(id).append(section);
    draw();
    mounted.push(draw);
  }
}

dark.addEventListener("change", () => {
  for (const draw of mounted) draw();
});
