// What the three parts of the scrubber share: the bus that carries the tick, and small DOM helpers.
// The bar announces a tick; everything on the page that is live follows it without the server.

const bus = (window.hillshadeBus ??= Object.assign(new EventTarget(), {
  recipe: null,
  tick: 0,
  held: false,
}));

function announce(recipe, tick, held) {
  Object.assign(bus, { recipe, tick, held });
  bus.dispatchEvent(new Event("tick"));
}

const SVG = "http://www.w3.org/2000/svg";

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "style") for (const [key, said] of Object.entries(value)) node.style.setProperty(key, said);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Streamlit's theme, told from the paper's brightness: the app knows light, dark and system.
function themeOf(node) {
  const paper = getComputedStyle(node).getPropertyValue("--st-background-color").trim();
  const probe = element("span", { style: { color: paper || "#fff" } });
  node.append(probe);
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
}

const DASHES = {
  solid: "none",
  dash: "7 4",
  dot: "1.5 4",
  dashdot: "8 4 1.5 4",
  longdash: "12 5",
  longdashdot: "12 5 1.5 5",
};

const MARKS = {
  circle: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
  square: "M-4.5,-4.5H4.5V4.5H-4.5Z",
  diamond: "M0,-6L6,0L0,6L-6,0Z",
  "triangle-up": "M0,-5.5L5.5,4.5H-5.5Z",
  "triangle-down": "M0,5.5L5.5,-4.5H-5.5Z",
  cross: "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
  x: "M-5.5,-3L-3,-5.5L0,-2.5L3,-5.5L5.5,-3L2.5,0L5.5,3L3,5.5L0,2.5L-3,5.5L-5.5,3L-2.5,0Z",
};

// One view a mount. Streamlit calls the module again after every run of the page, and may end an
// older call after a newer one has begun: only the newest call can end the view.
function present(parent, make, update) {
  const root = parent.querySelector(".root");
  const view = (root.view ??= make(root));
  const call = {};
  view.call = call;
  view.start();
  update(view);
  return () => {
    if (view.call === call) view.stop();
  };
}

// The tick to show: the hand's while the bar speaks of the same recipe, else the server's.
function tickFor(recipe, served) {
  return bus.recipe === recipe ? bus.tick : served;
}

// Call `set(tick)` at every tick of the recipe in view, between start() and stop().
function follower(recipe, set) {
  const listener = () => {
    if (bus.recipe === recipe()) set(bus.tick);
  };
  return {
    start: () => bus.addEventListener("tick", listener),
    stop: () => bus.removeEventListener("tick", listener),
  };
}

function line(points) {
  let path = "";
  let open = false;
  for (const point of points) {
    if (point === null) open = false;
    else {
      path += `${open ? "L" : "M"}${point[0].toFixed(1)},${point[1].toFixed(1)}`;
      open = true;
    }
  }
  return path;
}
