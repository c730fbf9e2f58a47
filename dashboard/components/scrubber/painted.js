// Tells the server once that the visitor sees the page, so that what lies below may follow. The
// second frame after our own call begins when the first has been painted; a chart that is still on
// its way holds both up, since it is drawn before the next frame.

const DRAWN_MS = 50;
const LOOKS = 100;

function makePainted() {
  const view = { told: false, timer: 0 };

  function look(left, tell) {
    const waiting = document.querySelector("[class*=st-key-chart-]:not(:has(.main-svg))");
    if (waiting && left > 0) view.timer = setTimeout(() => look(left - 1, tell), DRAWN_MS);
    else requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(tell, 0)));
  }

  view.start = () => {};
  view.stop = () => clearTimeout(view.timer);
  view.update = (tell) => {
    clearTimeout(view.timer);
    if (!view.told) look(LOOKS, () => ((view.told = true), tell()));
  };
  return view;
}

export default function ({ parentElement, setTriggerValue }) {
  return present(parentElement, makePainted, (view) => view.update(() => setTriggerValue("seen", true)));
}
