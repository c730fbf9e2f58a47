// The two live figures of the Spectrum page: the sorted curvatures and the grid of directions.

function power(exponent) {
  const raised = String(exponent).replace(/./g, (digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]);
  return exponent >= 0 && exponent <= 3 ? (10 ** exponent).toLocaleString("en") : `10${raised}`;
}

function powers(low, high, most) {
  const first = Math.floor(low);
  const step = Math.max(1, Math.ceil((Math.ceil(high) - first) / most));
  const found = [];
  for (let exponent = first; exponent <= high + 1e-9; exponent += step) if (exponent >= low - 1e-9) found.push(exponent);
  return found;
}

function logAxes(canvas, frame, xs, ys, names) {
  for (const exponent of powers(...xs.span, 6)) {
    const at = xs.at(10 ** exponent);
    canvas.append(
      shape("line", { class: "grid", x1: at, x2: at, y1: frame.top, y2: frame.bottom }),
      shape("text", { class: "tick", x: at, y: frame.bottom + 16, "text-anchor": "middle" }, power(exponent)),
    );
  }
  for (const exponent of powers(...ys.span, 6)) {
    const at = ys.at(10 ** exponent);
    canvas.append(
      shape("line", { class: "grid", x1: frame.left, x2: frame.right, y1: at, y2: at }),
      shape("text", { class: "tick", x: frame.left - 6, y: at + 4, "text-anchor": "end" }, power(exponent)),
    );
  }
  canvas.append(
    shape("text", { class: "unit", x: (frame.left + frame.right) / 2, y: frame.bottom + 36, "text-anchor": "middle" }, names[0]),
    shape("text", { class: "unit", x: 0, y: 0, "text-anchor": "middle", transform: `translate(13,${(frame.top + frame.bottom) / 2}) rotate(-90)` }, names[1]),
  );
}

function logScale(low, high, from, to) {
  const span = [Math.log10(low), Math.log10(high)];
  return { span, at: (value) => from + ((Math.log10(value) - span[0]) / (span[1] - span[0] || 1)) * (to - from) };
}

function makeSpectrum(box, figure) {
  const width = box.clientWidth;
  const height = 430;
  const frame = { left: 62, right: width - 12, top: 14, bottom: 262 };
  const under = { ...frame, top: 316, bottom: 382 };
  const pairs = figure.ranks.map((rank, index) => [rank, figure.products[index]]).filter(([, value]) => value > 0);
  const values = pairs.map(([, value]) => value);
  const xs = logScale(1, figure.total, frame.left, frame.right);
  const ys = logScale(figure.floor / 1.5, Math.max(...values, figure.floor) * 1.5, frame.bottom, frame.top);
  const canvas = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  logAxes(canvas, frame, xs, ys, ["", figure.label]);
  const mass = (value) => under.bottom - value * (under.bottom - under.top);
  for (const [value, name] of [[0, "0"], [0.5, ".5"], [1, "1"]]) {
    canvas.append(
      shape("line", { class: "grid", x1: under.left, x2: under.right, y1: mass(value), y2: mass(value) }),
      shape("text", { class: "tick", x: under.left - 6, y: mass(value) + 4, "text-anchor": "end" }, name),
    );
  }
  canvas.append(
    shape("text", { class: "panel", x: under.left, y: under.top - 8 }, "Share of all curvature up to this rank"),
    shape("text", { class: "unit", x: (frame.left + frame.right) / 2, y: under.bottom + 30, "text-anchor": "middle" }, "rank of the direction, steepest first"),
  );
  const points = pairs.map(([rank, value]) => [xs.at(rank), ys.at(value)]);
  const clip = shape("rect", { x: frame.left, y: 0, height: frame.bottom, width: 0 });
  canvas.append(
    shape(
      "defs",
      {},
      shape("clipPath", { id: "kept" }, clip),
      shape("clipPath", { id: "frame" }, shape("rect", { x: frame.left, y: 0, width: frame.right - frame.left, height: frame.bottom })),
    ),
    shape("path", { class: "line cut", "clip-path": "url(#frame)", d: line(points) }),
    shape("path", { class: "area kept", "clip-path": "url(#kept)", d: `${line([[points[0][0], frame.bottom], ...points, [points.at(-1)[0], frame.bottom]])}Z` }),
    shape("path", { class: "line kept heavy", "clip-path": "url(#kept)", d: line(points) }),
    shape("path", { class: "line kept", d: line(figure.ranks.map((rank, index) => [xs.at(rank), mass(figure.mass[index])])) }),
  );
  const edge = shape("line", { class: "edge", y1: frame.top - 6, y2: under.bottom });
  const said = shape("text", { class: "said", y: frame.top + 8 });
  canvas.append(edge, said);
  box.replaceChildren(canvas);
  return (tick) => {
    const kept = figure.kept[tick];
    const at = xs.at(Math.max(kept, 1));
    clip.setAttribute("width", Math.max(at - frame.left, 0));
    edge.setAttribute("transform", `translate(${at},0)`);
    said.textContent = `${kept.toLocaleString("en")} of ${figure.total.toLocaleString("en")} kept`;
    const left = at > (frame.left + frame.right) / 2;
    said.setAttribute("x", left ? at - 8 : at + 8);
    said.setAttribute("text-anchor", left ? "end" : "start");
  };
}

function makeRelief(box, figure) {
  const width = box.clientWidth;
  const height = 430;
  const frame = { left: 62, right: width - 12, top: 14, bottom: 382 };
  const xs = logScale(1, figure.columns + 1, frame.left, frame.right);
  const ys = logScale(1, figure.height + 1, frame.bottom, frame.top);
  const canvas = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  // Direction n covers n to n + 1, so that the first one has a width on a log axis.
  const outline = (k) => {
    const points = [[xs.at(1), ys.at(1)]];
    for (let row = 0; row < k.length && k[row] >= 1; row += 1) {
      const right = xs.at(k[row] + 1);
      points.push([right, ys.at(figure.rows[row])], [right, ys.at(figure.rows[row + 1] ?? figure.height + 1)]);
    }
    points.push([xs.at(1), points.at(-1)[1]]);
    return `${line(points)}Z`;
  };
  const whole = `M${frame.left},${frame.top}H${frame.right}V${frame.bottom}H${frame.left}Z`;
  canvas.append(shape("path", { d: whole, fill: figure.colours[0] }));
  for (let place = figure.levels.length - 1; place >= 0; place -= 1) {
    const colour = figure.colours[figure.colours.length - 1 - place];
    canvas.append(shape("path", { d: outline(figure.levels[place].k), fill: colour }));
  }
  const veil = shape("path", { class: "veil", "fill-rule": "evenodd" });
  const rims = ["rim", "rim inner"].map((name) => shape("path", { class: name }));
  canvas.append(veil, ...rims);
  logAxes(canvas, frame, xs, ys, ["j: direction of A (inputs), steepest first", "i: direction of G (gradients)"]);
  box.replaceChildren(canvas);
  return (tick) => {
    const kept = outline(figure.kept[tick]);
    veil.setAttribute("d", `${whole}${kept}`);
    for (const rim of rims) rim.setAttribute("d", kept);
  };
}
