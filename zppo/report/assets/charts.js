// Charts by uPlot, each with a table of its values, and usable by keyboard.

const CHART_HEIGHT = 220;
const COLOURS = 12;
const WHOLE = [1, 2, 5].flatMap((step) => [...Array(9).keys()].map((power) => step * 10 ** power)).sort((a, b) => a - b);
const MANY_ROUNDS = 40;
const synced = uPlot.sync("rounds");
let smoothing = 1; // rounds that a mean is over; 1 draws the values alone

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const colour = (index) => css(`--series-${index % COLOURS}`);

const FORMATS = {
  share: (value) => value.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 }),
  count: (value) => value.toLocaleString("en", { maximumFractionDigits: 1 }),
  seconds: (value) => `${value.toLocaleString("en", { maximumFractionDigits: 2 })} s`,
  value: (value) =>
    value !== 0 && Math.abs(value) < 1e-3
      ? String(Number(value.toPrecision(3)).toExponential())
      : value.toLocaleString("en", { maximumSignificantDigits: 3 }),
};

const format = (chart, value) => (value === null || value === undefined ? "–" : FORMATS[chart.unit](value));

// What uPlot draws: for layers, the sums of those shown from the first one up to each.
function heights(chart, shown) {
  if (chart.style === "lines") return chart.series.map((series) => series.values);
  const total = chart.x.map(() => 0);
  return chart.series.map((series, index) => series.values.map((value, place) => (total[place] += shown(index) ? value || 0 : 0)));
}

const isSmooth = (chart) => smoothing > 1 && chart.style === "lines" && chart.x.length > smoothing;

// Means over as many rounds around each; where there is no value, there is no mean either.
function means(values) {
  const reach = (smoothing - 1) / 2;
  return values.map((value, place) => {
    const around = values.slice(Math.max(0, place - reach), place + reach + 1).filter((each) => each !== null);
    return value === null ? null : around.reduce((sum, each) => sum + each, 0) / around.length;
  });
}

function seriesOptions(chart, series, index) {
  const stroke = colour(index);
  const sparse = series.values.filter((value) => value !== null).length <= 40;
  const options = {
    label: series.label,
    stroke,
    width: 1.75,
    spanGaps: true,
    points: { show: chart.style === "lines" && sparse, size: 5 },
    // Away from the chart the legend has the last values.
    value: (plot, value, series, place) => format(chart, chart.series[index].values[place ?? chart.x.length - 1]),
  };
  if (chart.style === "stacked" && index === 0) options.fill = stroke + "b0";
  if (chart.style === "bars") {
    options.paths = uPlot.paths.bars({ size: [0.6, 48] });
    options.fill = stroke;
  }
  return options;
}

// The values themselves, thin, behind the line of their means.
function rawOptions(chart, index) {
  return { stroke: colour(index) + "59", width: 1, spanGaps: true, points: { show: false }, class: "raw", value: () => "" };
}

// The places that have columns, as many as there is room for.
function placesInView(chart, plot, low, high) {
  const seen = chart.x.filter((x) => x >= low && x <= high);
  const each = Math.ceil((seen.length * 36) / Math.max(plot.bbox.width / devicePixelRatio, 36));
  return seen.filter((_, place) => place % each === 0);
}

function axes(chart) {
  const common = { stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
  const font = "12px system-ui, sans-serif";
  const columns = chart.style === "bars" ? { splits: (plot, axis, low, high) => placesInView(chart, plot, low, high) } : { incrs: WHOLE };
  const size = (plot, texts) => 22 + 7 * Math.max(3, ...(texts || []).map((text) => text.length));
  const places = { ...common, font, labelFont: font, label: chart.x_label, labelSize: 18, size: 30, values: (plot, splits) => splits.map(String), ...columns };
  const values = { ...common, font, size, values: (plot, splits) => splits.map((split) => format(chart, split)) };
  return [places, chart.unit === "count" ? { ...values, incrs: WHOLE } : values];
}

function ranges(chart) {
  const ends = chart.x.length ? [chart.x[0], chart.x[chart.x.length - 1]] : [0, 1];
  const step = chart.x.length > 1 ? Math.min(...chart.x.slice(1).map((x, i) => x - chart.x[i])) : 1;
  const pad = chart.style === "bars" ? 0.6 * step : ends[0] === ends[1] ? 0.5 : 0;
  const flat = (low, high) => (low === high ? [low - 1, high + 1] : [low, high]);
  const value = (plot, low, high) => {
    if (low === null) return [0, 1];
    const top = chart.unit === "share" && high > 0.5 ? Math.max(1, high) : high * 1.05;
    return flat(Math.min(0, low), top);
  };
  return {
    x: { time: false, range: (plot, low, high) => [low - (low === ends[0] ? pad : 0), high + (high === ends[1] ? pad : 0)] },
    y: { range: value },
  };
}

function options(chart, width) {
  const series = chart.series.map((each, index) => seriesOptions(chart, each, index));
  const layers = chart.style === "stacked" ? chart.series.slice(1) : [];
  // Taller columns are drawn first, so that each shows above the one before.
  const order = chart.style === "bars" ? series.reverse() : series;
  const raw = isSmooth(chart) ? chart.series.map((_, index) => rawOptions(chart, index)) : [];
  const lines = chart.series.length;
  return {
    width,
    height: CHART_HEIGHT,
    scales: ranges(chart),
    axes: axes(chart),
    series: [{ label: chart.x_label, value: (plot, value) => String(value ?? chart.x[chart.x.length - 1]) }, ...order, ...raw],
    bands: layers.map((_, index) => ({ series: [index + 2, index + 1], fill: colour(index + 1) + "b0" })),
    cursor: {
      sync: chart.x_label === "round" ? { key: synced.key } : undefined,
      points: { size: 7 },
      drag: { x: true, y: false },
    },
    hooks: { setSeries: [(plot, index, said) => "show" in said && index <= lines && onShown(plot, chart, index, said.show)] },
    legend: { live: true, markers: { fill: (plot, index) => plot.series[index].stroke(plot, index) } },
  };
}

// uPlot's number of a series: places come first, and columns the other way round.
const number = (chart, index) => (chart.style === "bars" ? chart.series.length - index : index + 1);

function drawing(chart, plot) {
  const values = heights(chart, (index) => !plot || plot.series[number(chart, index)].show);
  if (isSmooth(chart)) return [chart.x, ...values.map(means), ...values];
  return [chart.x, ...(chart.style === "bars" ? values.reverse() : values)];
}

// A name was clicked: its thin line goes with it, and layers come to lie on those that are left.
function onShown(plot, chart, index, show) {
  if (isSmooth(chart)) plot.setSeries(index + chart.series.length, { show });
  if (chart.style !== "lines") plot.setData(drawing(chart, plot), false);
  legendNames(plot).forEach((name, place) => name.setAttribute("aria-pressed", plot.series[place + 1].show));
}

function values(chart) {
  const head = [chart.x_label, ...chart.series.map((series) => series.label)];
  const rows = chart.x.map((x, place) =>
    el("tr", {}, el("th", { scope: "row" }, String(x)), ...chart.series.map((series) => el("td", {}, format(chart, series.values[place])))),
  );
  return el(
    "table",
    { class: "values" },
    el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows),
  );
}

// Left and right move the cursor, plus and minus zoom around it, 0 shows everything.
function onChartKey(event, plot, chart) {
  const last = chart.x.length - 1;
  const at = plot.cursor.idx ?? (event.key === "ArrowLeft" ? last + 1 : -1);
  const { min, max } = plot.scales.x;
  const middle = chart.x[Math.min(Math.max(at, 0), last)];
  const show = (width) =>
    plot.setScale("x", { min: Math.max(chart.x[0], middle - width / 2), max: Math.min(chart.x[last], middle + width / 2) });
  const moves = {
    ArrowLeft: () => moveCursor(plot, chart, at - 1),
    ArrowRight: () => moveCursor(plot, chart, at + 1),
    "+": () => (max - min) / 2 >= 1 && show((max - min) / 2),
    "-": () => show((max - min) * 2),
    0: () => plot.setScale("x", { min: chart.x[0], max: chart.x[last] }),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
}

function moveCursor(plot, chart, place) {
  const bounded = Math.min(Math.max(place, 0), chart.x.length - 1);
  plot.setCursor({ left: plot.valToPos(chart.x[bounded], "x"), top: CHART_HEIGHT / 3 });
}

const legendNames = (plot) => plot.root.querySelectorAll(".u-legend .u-series:not(:first-child):not(.raw) th");

// Names in the legend hide and show their line; a button's keys do the same.
function legendByKeyboard(plot) {
  legendNames(plot).forEach((name) => {
    name.tabIndex = 0;
    name.setAttribute("role", "button");
    name.setAttribute("aria-pressed", true);
    name.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      name.click();
    });
  });
}

function chartCard(chart) {
  const place = el("div", { class: "plot", tabindex: 0, role: "group", "aria-label": `${chart.title}: chart; arrow keys move` });
  const table = el("details", { class: "as-table" }, el("summary", {}, "Values"));
  table.addEventListener("toggle", () => table.children.length === 1 && table.append(el("div", { class: "scroll" }, values(chart))));
  const card = el(
    "figure",
    { class: "chart", id: `chart-${chart.key}` },
    el("figcaption", {}, el("h3", {}, chart.title), chart.note ? el("p", { class: "note" }, chart.note) : ""),
    place,
    table,
  );
  return { chart, card, place, plot: null };
}

function draw(each) {
  const width = Math.max(200, Math.floor(each.place.clientWidth));
  if (each.plot) each.plot.destroy();
  each.plot = new uPlot(options(each.chart, width), drawing(each.chart), each.place);
  legendByKeyboard(each.plot);
}

function startCharts(charts, grid) {
  const drawn = charts.map(chartCard);
  grid.replaceChildren(...drawn.map((each) => each.card));
  drawn.forEach((each) => {
    draw(each);
    each.place.addEventListener("keydown", (event) => onChartKey(event, each.plot, each.chart));
  });
  const watcher = new ResizeObserver(() =>
    drawn.forEach((each) => {
      const width = Math.max(200, Math.floor(each.place.clientWidth));
      if (each.plot.width !== width) each.plot.setSize({ width, height: CHART_HEIGHT });
    }),
  );
  watcher.observe(grid);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
  return () => drawn.forEach(draw);
}

// A long run begins with means, which its noise would hide.
function startSmoothing(charts, control) {
  if (Math.max(0, ...charts.map((chart) => chart.x.length)) > MANY_ROUNDS) control.value = "5";
  smoothing = Number(control.value);
  const redraw = startCharts(charts, document.getElementById("chart-grid"));
  control.addEventListener("change", () => {
    smoothing = Number(control.value);
    redraw();
  });
}
