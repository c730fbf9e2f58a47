// The wall of images: what each shows, what it was given, what is said of it before and after. The
// labels follow the thumb; of a tile only what has changed is set. All text through textContent.

function makeWall(root) {
  const list = element("ul", { className: "tiles" });
  const more = element("button", { type: "button", className: "more" });
  root.append(list, more);
  const view = { data: null, tiles: [], whole: false };

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
    list.append(node);
    return { image, node, label: after.lastChild, verdict, shown: -1 };
  }

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
    show(tickFor(view.data.recipe, view.data.tick));
  }

  more.addEventListener("click", () => {
    view.whole = !view.whole;
    draw();
  });
  const follows = follower(() => view.data?.recipe, show);
  view.update = (data) => {
    const fresh = !view.data || view.data.version !== data.version || root.dataset.theme !== themeOf(root);
    view.data = data;
    list.ariaLabel = data.alt;
    if (fresh) draw();
    else show(tickFor(data.recipe, data.tick));
  };
  view.start = follows.start;
  view.stop = follows.stop;
  return view;
}

export default function ({ data, parentElement }) {
  return present(parentElement, makeWall, (view) => view.update(data));
}
