// One text in large type: its prompt, and how the model goes on. All text is set through textContent.

const UNTOLD = "· · · · ·";

function makePassage(root) {
  const note = element("p", { className: "note" });
  const text = element("p", { className: "passage" });
  const prompt = element("span", { className: "prompt" });
  const rest = element("span", { className: "rest", ariaLive: "polite" });
  const badge = element("p", { className: "badge" });
  const truth = element("p", { className: "truth" });
  text.append(prompt, " ", rest);
  root.append(note, text, badge, truth);
  const view = { data: null };

  function show(tick) {
    const { row, pool, said } = view.data;
    const told = row.at.length > 0;
    rest.classList.toggle("untold", !told);
    badge.hidden = !told;
    truth.hidden = true;
    if (!told) {
      rest.textContent = UNTOLD;
      return;
    }
    const at = Math.min(tick, row.at.length - 1);
    rest.replaceChildren(
      ...pool[row.at[at]].map(([part, same]) => element(same ? "mark" : "span", { textContent: part })),
    );
    const right = Boolean(row.strict[at]);
    badge.textContent = right ? `✓ ${said.yes}` : `✗ ${said.no}`;
    badge.className = right ? "badge right" : "badge";
    truth.hidden = right;
  }

  const follows = follower(() => view.data?.recipe, show);
  view.update = (data) => {
    root.dataset.theme = themeOf(root);
    root.dataset.kind = data.id;
    root.classList.toggle("small", data.small);
    view.data = data;
    note.textContent = data.row.note;
    prompt.textContent = data.row.prompt;
    truth.textContent = `${data.truth}: ${data.row.truth}`;
    show(tickFor(data.recipe, data.tick));
  };
  view.start = follows.start;
  view.stop = follows.stop;
  return view;
}

export default function ({ data, parentElement }) {
  return present(parentElement, makePassage, (view) => view.update(data));
}
