// Charts by uPlot, each with a table of its values, and usable by keyboard.

const CHART_HEIGHT = 220;
const COLOURS = 8;
const synced = uPlot.sync("rounds");

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const colour = (index) => css(`--series-${index % COLOURS}`);

const FORMATS = {
  share: (value) => value.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 }),
  count: (value) => value.toLocaleString("en", { maximumFractionDigits: 1 }),
  seconds: (value) => `${value.toLocaleString("en", { maximumFractionDigits: 2 })} s`,
  value: (value) => (value === 0 ? "0" : Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 })),
};

const format = (chart, value) => (value === null || value === undefined ? "–" : FORMATS[chart.unit](value));

// What uPlot draws: for layers, the sums from the first layer up to each.
function heights(chart) {
  if (chart.style === "lines") return chart.series.map((series) => series.values);
  const total = chart.x.map(() => 0);
  return chart.series.map((series) => series.values.map((value, place) => (total[place] += value || 0)));
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
    value: (plot, value, series, place) =>
      place === null || place === undefined ? "" : format(chart, chart.series[index].values[place]),
  };
  if (chart.style === "stacked" && index === 0) options.fill = stroke + "b0";
  if (chart.style === "bars") {
    options.paths = uPlot.paths.bars({ size: [0.6, 48] });
    options.fill = stroke;
  }
  return options;
}

function axes(chart) {
  const common = { stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
  const font = "12px system-ui, sans-serif";
  const whole = (plot, splits) => splits.map((split) => (Number.isInteger(split) || chart.style === "bars" ? String(split) : ""));
  return [
    { ...common, font, labelFont: font, label: chart.x_label, labelSize: 18, size: 30, values: whole },
    { ...common, font, size: 56, values: (plot, splits) => splits.map((split) => format(chart, split)) },
  ];
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
  return {
    width,
    height: CHART_HEIGHT,
    scales: ranges(chart),
    axes: axes(chart),
    series: [{ label: chart.x_label, value: (plot, value) => (value === null ? "" : String(value)) }, ...order],
    bands: layers.map((_, index) => ({ series: [index + 2, index + 1], fill: colour(index + 1) + "b0" })),
    cursor: {
      sync: chart.x_label === "round" ? { key: synced.key } : undefined,
      points: { size: 7 },
      drag: { x: true, y: false },
    },
    legend: { live: true, markers: { fill: (plot, index) => plot.series[index].stroke(plot, index) } },
  };
}

function drawing(chart) {
  const values = heights(chart);
  return [chart.x, ...(chart.style === "bars" ? values.reverse() : values)];
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

// Names in the legend hide and show their line; a button's keys do the same.
function legendByKeyboard(plot) {
  plot.root.querySelectorAll(".u-legend .u-series:not(:first-child) th").forEach((name) => {
    name.tabIndex = 0;
    name.setAttribute("role", "button");
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
}
