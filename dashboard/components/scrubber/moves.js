// Sets in a Plotly chart what has changed since it was sent, without building it anew, and tells of
// a click on one of its points. Streamlit's own selection would take back a second click.

const LOOK_MS = 50;
const LOOKS = 400; // a chart appears once Plotly has been fetched

function makeMoves(root) {
  const view = { data: null, timer: 0, click: null };

  // React may draw the chart as it was sent, as when its width changes: set it again then.
  function moved(plot) {
    const { shown } = plot.hillshade;
    return shown && shown.version === view.data.version && shown.data === plot.data && shown.layout === plot.layout;
  }

  function set(plot) {
    if (!plot.hillshade) {
      plot.hillshade = { shown: null };
      plot.on("plotly_click", ({ points }) => {
        const point = points.find(({ customdata }) => customdata !== undefined && customdata !== null);
        if (point && view.data.clicks && root.isConnected) view.click(Array.from([point.customdata].flat()));
      });
      plot.on("plotly_afterplot", () => view.data && root.isConnected && !moved(plot) && set(plot));
    }
    if (moved(plot)) return;
    const { data, layout, traces } = view.data.moves;
    plot.hillshade.shown = { version: view.data.version, data: plot.data, layout: plot.layout };
    if (!traces.length && !Object.keys(layout).length) return;
    window.Plotly.update(plot, traces.length ? structuredClone(data) : {}, structuredClone(layout), traces);
  }

  function look(left) {
    const box = document.querySelector(`.st-key-${view.data.chart}`);
    const plot = box?.querySelector(".js-plotly-plot");
    if (window.Plotly && plot?._fullLayout?.width && plot.on) {
      box.querySelector("[role=figure]")?.setAttribute("aria-label", view.data.alt);
      set(plot);
    } else if (left > 0) view.timer = setTimeout(() => look(left - 1), LOOK_MS);
  }

  view.start = () => {};
  view.stop = () => clearTimeout(view.timer);
  view.update = (data, click) => {
    clearTimeout(view.timer);
    view.data = data;
    view.click = click;
    look(LOOKS);
  };
  return view;
}

export default function ({ data, parentElement, setTriggerValue }) {
  return present(parentElement, makeMoves, (view) =>
    view.update(data, (value) => setTriggerValue("click", value)),
  );
}
