// The threshold: a native range input, its exact translations, keys, and play.

const PLAY_STEP_MS = 320;
const KEY_PAUSE_MS = 250; // a run of arrow keys is one release
// Which controls take a key themselves: a button does nothing with an arrow.
const TAKES_ARROWS =
  "input, textarea, select, canvas, [contenteditable], [role=tab], [role=radio], [role=option], " +
  "[role=combobox], [role=slider], [role=grid]";
const TAKES_SPACE = `${TAKES_ARROWS}, button, a, summary, [role=button], [role=checkbox]`;

function makeBar(root) {
  const range = element("input", { type: "range", className: "thumb", min: 0, step: 1 });
  const play = element("button", { type: "button", className: "play" });
  const marks = element("div", { className: "marks", ariaHidden: "true" });
  const chosen = element("div", { className: "chosen", ariaHidden: "true" }, element("span", { textContent: "chosen" }));
  const ends = element("div", { className: "ends", ariaHidden: "true" });
  const readouts = element("dl", { className: "readouts" });
  root.append(
    element(
      "div",
      { className: "split" },
      element(
        "div",
        { className: "slide" },
        play,
        element("div", { className: "rail" }, ends, chosen, range, marks),
      ),
      readouts,
    ),
  );
  const view = {
    data: null,
    pending: null,
    send: () => {},
    committed: null,
    values: [],
    timer: 0,
    player: 0,
  };

  function place(node, tick) {
    node.style.setProperty("--at", view.data.axis.count > 1 ? tick / (view.data.axis.count - 1) : 0);
  }

  function show(tick) {
    for (const [index, readout] of view.data.readouts.entries()) {
      view.values[index].textContent = readout.at[tick];
    }
    range.setAttribute("aria-valuetext", `${view.data.axis.names[tick]} ${view.data.axis.label}`);
    place(range, tick);
  }

  function move(tick, held) {
    range.value = tick;
    show(tick);
    announce(view.data.axis.recipe, tick, held);
  }

  function release() {
    clearTimeout(view.timer);
    const tick = Number(range.value);
    bus.held = false;
    if (tick === view.committed) return;
    view.pending = view.committed = tick;
    view.send({ recipe: view.data.axis.recipe, tick });
  }

  function pause() {
    clearInterval(view.player);
    view.player = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play through the thresholds");
    play.title = "Play (space)";
  }

  function toggle() {
    if (view.player) {
      pause();
      release();
      return;
    }
    touched();
    if (Number(range.value) >= view.data.axis.count - 1) move(0, true);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    play.title = "Pause (space)";
    view.player = setInterval(() => {
      const next = Number(range.value) + 1;
      if (next >= view.data.axis.count) {
        pause();
        release();
      } else move(next, true);
    }, PLAY_STEP_MS);
  }

  function touched() {
    bus.touched = true;
    root.classList.remove("invites");
  }

  range.addEventListener("pointerdown", () => {
    pause();
    touched();
    bus.held = true;
  });
  range.addEventListener("input", () => {
    touched();
    move(Number(range.value), bus.held);
  });
  range.addEventListener("change", () => {
    if (bus.held) release();
    else {
      clearTimeout(view.timer);
      view.timer = setTimeout(release, KEY_PAUSE_MS);
    }
  });
  range.addEventListener("pointerup", () => setTimeout(release, 0));
  play.addEventListener("click", toggle);

  // Keys reach the slider from anywhere on the page, unless another control has the focus.
  function keys(event) {
    const target = event.composedPath()[0];
    const taken = event.key === " " ? TAKES_SPACE : TAKES_ARROWS;
    const busy = target !== range && target instanceof Element && target.matches(taken);
    if (busy || event.altKey || event.ctrlKey || event.metaKey || !view.data) return;
    if (event.key === " ") {
      event.preventDefault();
      toggle();
    } else if (target !== range && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      pause();
      touched();
      const step = event.key === "ArrowRight" ? 1 : -1;
      const tick = Math.min(Math.max(Number(range.value) + step, 0), view.data.axis.count - 1);
      move(tick, false);
      clearTimeout(view.timer);
      view.timer = setTimeout(release, KEY_PAUSE_MS);
    }
  }
  view.start = () => document.addEventListener("keydown", keys);
  view.stop = () => {
    document.removeEventListener("keydown", keys);
    clearInterval(view.player);
    clearTimeout(view.timer);
  };

  view.update = (data, send) => {
    view.send = send;
    const fresh = !view.data || view.data.version !== data.version;
    const of = (one) => `${one.study} ${one.axis.recipe}`;
    const another = !view.data || of(view.data) !== of(data);
    view.data = data;
    if (fresh) {
      pause();
      range.max = data.axis.count - 1;
      range.setAttribute("aria-label", data.axis.label);
      marks.replaceChildren(
        ...data.axis.marks.map((mark, index, all) => {
          const node = element("span", { textContent: mark.name });
          if (index > 0 && index < all.length - 1 && index % 2) node.className = "second";
          node.style.setProperty("--at", mark.at);
          return node;
        }),
      );
      ends.replaceChildren(
        element("span", { textContent: data.ends[0] }),
        element("span", { textContent: data.ends[1] }),
      );
      chosen.hidden = data.axis.chosen === null;
      if (data.axis.chosen !== null) place(chosen, data.axis.chosen);
      view.values = data.readouts.map(() => element("dd"));
      readouts.replaceChildren(
        ...data.readouts.map((readout, index) =>
          element("div", { title: readout.hint }, element("dt", { textContent: readout.name }), view.values[index]),
        ),
      );
    }
    root.classList.toggle("invites", !bus.touched);
    // An answer to an older release must not pull the thumb back from where it is now.
    if (another) view.pending = null;
    const mine = view.pending !== null && view.pending !== data.tick;
    if (view.pending === data.tick) view.pending = null;
    if (another || (!mine && !bus.held && !view.player)) {
      view.committed = data.tick;
      move(data.tick, false);
    } else show(Number(range.value));
  };
  return view;
}

export default function ({ data, parentElement, setTriggerValue }) {
  return present(parentElement, makeBar, (view) =>
    view.update(data, (value) => setTriggerValue("release", value)),
  );
}
