// The wall of images: what each shows, what it was given, what is said of it before and after. The
// labels follow the thumb; of a tile only what has changed is set. All text through textContent.
// Where a tile can be picked it is a button: one stop of the Tab key, the arrows go on from there.

// Half way down the screen: the picked image's portrait below, most of the wall above.
function toPortrait() {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.getElementById("own-spike")?.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
}

function makeWall(root) {
  const list = element("ul", { className: "tiles" });
  const more = element("button", { type: "button", className: "more" });
  root.append(list, more);
  const view = { data: null, tiles: [], whole: false, send: null };

  function badge(key) {
    const one = view.data.verdicts[key];
    const mark = shape("svg", { class: "mark", width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, shape("path", { d: MARKS[one.mark] }));
    return [mark, element("span", { textContent: one.word })];
  }

  function picture(image) {
    const [width, height] = view.data.size;
    const canvas = element("canvas", { width, height });
    canvas.setAttribute("aria-hidden", "true");
    const brush = canvas.getContext("2d");
    const drawn = brush.createImageData(width, height);
    for (let at = 0; at < width * height; at += 1) {
      const grey = parseInt(image.pixels.slice(2 * at, 2 * at + 2), 16);
      drawn.data.set([grey, grey, grey, 255], 4 * at);
    }
    brush.putImageData(drawn, 0, 0);
    return canvas;
  }

  function pair(name, label, className) {
    return element("div", { className }, element("dt", { textContent: name }), element("dd", { textContent: label, title: label }));
  }

  function makeTile(image) {
    const after = pair("after", "", "after");
    const verdict = element("p", { className: "verdict" });
    const node = element(
      "li",
      { "data-id": image.id },
      picture(image),
      element("dl", {}, pair("given", image.given, ""), pair("true", image.true, ""), pair("before", image.said[0][1], ""), after),
      verdict,
    );
    const button = view.data.picks ? element("button", { type: "button", className: "pick", tabIndex: -1 }) : null;
    if (button) {
      button.setAttribute("aria-label", `Look at ${image.id}: given ${image.given}, shows ${image.true}`);
      button.addEventListener("click", () => {
        view.send(image.id);
        toPortrait();
      });
      node.append(button);
    }
    list.append(node);
    return { image, node, button, label: after.lastChild, verdict, shown: -1 };
  }

  function mark() {
    const at = Math.max(view.tiles.findIndex((tile) => tile.image.id === view.data.picked), 0);
    for (const [place, tile] of view.tiles.entries()) {
      const now = tile.image.id === view.data.picked;
      tile.node.classList.toggle("picked", now);
      if (!tile.button) continue;
      tile.button.setAttribute("aria-pressed", now);
      tile.button.tabIndex = place === at ? 0 : -1;
    }
  }

  function row() {
    const top = view.tiles[0].node.offsetTop;
    const below = view.tiles.findIndex((tile) => tile.node.offsetTop > top);
    return below < 0 ? view.tiles.length : below;
  }

  list.addEventListener("keydown", (event) => {
    const at = view.tiles.findIndex((tile) => tile.button && tile.button === event.target);
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row(), ArrowDown: row() }[event.key];
    if (at < 0 || !by) return;
    event.preventDefault();
    event.stopPropagation(); // or the threshold would move too
    const next = view.tiles[at + by];
    if (!next) return;
    for (const tile of [view.tiles[at], next]) tile.button.tabIndex = tile === next ? 0 : -1;
    next.button.focus();
  });

  function show(tick) {
    for (const tile of view.tiles) {
      let at = tile.image.said.length - 1;
      while (tile.image.said[at][0] > tick) at -= 1;
      if (tile.shown === at) continue;
      const [, label, key] = tile.image.said[at];
      tile.shown = at;
      tile.label.textContent = label;
      tile.label.title = label;
      if (tile.node.dataset.verdict !== key) {
        tile.node.dataset.verdict = key;
        tile.verdict.replaceChildren(...badge(key));
      }
    }
  }

  function draw() {
    root.dataset.theme = themeOf(root);
    for (const [key, one] of Object.entries(view.data.verdicts)) {
      root.style.setProperty(`--${key}`, one[root.dataset.theme]);
    }
    list.replaceChildren();
    const { images, first } = view.data;
    view.tiles = images.slice(0, view.whole ? images.length : first).map(makeTile);
    more.hidden = images.length <= first;
    more.textContent = view.whole ? `Show the first ${first}` : `Show all ${images.length}`;
    list.classList.toggle("alone", images.length === 1);
    show(tickFor(view.data.recipe, view.data.tick));
  }

  more.addEventListener("click", () => {
    view.whole = !view.whole;
    draw();
    mark();
  });
  const follows = follower(() => view.data?.recipe, show);
  view.update = (data, send) => {
    view.send = send;
    const fresh = !view.data || view.data.version !== data.version || view.data.picks !== data.picks || root.dataset.theme !== themeOf(root);
    view.data = data;
    list.ariaLabel = data.alt;
    if (fresh) draw();
    else show(tickFor(data.recipe, data.tick));
    mark();
  };
  view.start = follows.start;
  view.stop = follows.stop;
  return view;
}

export default function ({ data, parentElement, setTriggerValue }) {
  return present(parentElement, makeWall, (view) =>
    view.update(data, (id) => setTriggerValue("pick", id)),
  );
}
