// Plotly's colours come from the server: where the page was drawn for another theme than the visitor
// now has, ask for it again. The app may tell the server of the switch a little later than us, so it
// is asked until the page is right, and not for ever where the two never agree.

const AGAIN_MS = 500;
const TRIES = 6;

function makeTheme(root) {
  const view = { drawn: null, timer: 0, tries: 0, redraw: null };

  function look() {
    clearTimeout(view.timer);
    const theme = themeOf(root);
    if (theme === view.drawn) view.tries = 0;
    else if (view.tries < TRIES) {
      view.tries += 1;
      view.redraw(theme);
      view.timer = setTimeout(look, AGAIN_MS * view.tries);
    }
  }

  view.start = () => {};
  view.stop = () => clearTimeout(view.timer);
  view.update = (drawn, redraw) => {
    view.drawn = drawn;
    view.redraw = redraw;
    look();
  };
  return view;
}

export default function ({ data, parentElement, setTriggerValue }) {
  return present(parentElement, makeTheme, (view) =>
    view.update(data.drawn, (theme) => setTriggerValue("theme", theme)),
  );
}
