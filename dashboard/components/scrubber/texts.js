// The table of texts: prompt, truth, before, after. All text is set through textContent.

function makeTexts(root) {
  const table = element("table", { className: "texts" });
  const pages = element("nav", { className: "pages" });
  root.append(table, pages);
  const view = { data: null, cells: [], turn: () => {} };

  // Rows come from the server a page at a time.
  function drawPages() {
    const { page, pages: count, title } = view.data;
    pages.hidden = count < 2;
    pages.ariaLabel = `Pages of ${title.toLowerCase()}`;
    const arrow = (text, label, to) => {
      const button = element("button", { type: "button", textContent: text, disabled: to < 1 || to > count });
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => view.turn(to));
      return button;
    };
    pages.replaceChildren(
      arrow("‹", "Previous page", page - 1),
      element("span", { textContent: `${page} of ${count}` }),
      arrow("›", "Next page", page + 1),
    );
  }

  function fill(cell, segments) {
    cell.replaceChildren(
      ...segments.map(([text, same]) => element(same ? "mark" : "span", { textContent: text })),
    );
  }

  function show(tick) {
    for (const [index, row] of view.data.rows.entries()) {
      const cell = view.cells[index];
      const at = Math.min(tick, row.at.length - 1);
      if (cell.shown !== row.at[at]) {
        cell.shown = row.at[at];
        fill(cell.text, view.data.pool[row.at[at]]);
      }
      const right = Boolean(row.strict[at]);
      if (cell.right !== right) {
        cell.right = right;
        cell.badge.textContent = right ? `✓ ${view.data.said.yes}` : `✗ ${view.data.said.no}`;
        cell.badge.className = right ? "badge right" : "badge wrong";
      }
    }
  }

  function draw() {
    root.dataset.theme = themeOf(root);
    root.dataset.kind = view.data.id;
    const [prompt, truth, before, after] = view.data.heads;
    const head = element("tr", {}, ...[prompt, truth, before, after].map((name) => element("th", { scope: "col", textContent: name })));
    view.cells = [];
    const rows = view.data.rows.map((row) => {
      const text = element("div", { className: "text" });
      const badge = element("div", { className: "badge" });
      const was = element("div", { className: "text" });
      fill(was, view.data.pool[row.at[0]]);
      const wasBadge = element("div", {
        className: row.strict[0] ? "badge right" : "badge wrong",
        textContent: row.strict[0] ? `✓ ${view.data.said.yes}` : `✗ ${view.data.said.no}`,
      });
      view.cells.push({ text, badge, shown: -1, right: null });
      const cells = [
        [prompt, element("div", { className: "note", textContent: row.note }), element("div", { className: "text", textContent: row.prompt })],
        [truth, element("div", { className: "text", textContent: row.truth })],
        [before, wasBadge, was],
        [after, badge, text],
      ].map(([name, ...content]) => element("td", { "data-head": name }, ...content));
      cells[3].className = "after";
      return element("tr", { "data-id": row.id }, ...cells);
    });
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    table.ariaLabel = view.data.title;
    drawPages();
    show(tickFor(view.data.recipe, view.data.tick));
  }

  const follows = follower(() => view.data?.recipe, show);
  view.update = (data, turn) => {
    view.turn = turn;
    const fresh = !view.data || view.data.version !== data.version || root.dataset.theme !== themeOf(root);
    view.data = data;
    if (fresh) draw();
    else show(tickFor(data.recipe, data.tick));
  };
  view.start = follows.start;
  view.stop = follows.stop;
  return view;
}

export default function ({ data, parentElement, setTriggerValue }) {
  return present(parentElement, makeTexts, (view) =>
    view.update(data, (page) => setTriggerValue("page", page)),
  );
}
