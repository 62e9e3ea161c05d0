# SPDX-License-Identifier: BSL-1.0
# plots: the figures of the report, as SVG that stands inside a page. Wants Debian's
# python3-matplotlib.
import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.ticker import FuncFormatter  # noqa: E402

import figures  # noqa: E402

COLOURS = {"floor": ["#8a8f98", "#8a8f98"], "heddle": ["#1f5fbf", "#6fa8ff"],
           "thread": ["#c2571a", "#f0a05a"], "go": ["#00859b"] * 2, "boost_fiber": ["#7a4fb5"] * 2,
           "tokio": ["#8a6d00"] * 2, "tbb": ["#5b8c3a"] * 2, "asyncio": ["#b03a6b"] * 2,
           "gevent": ["#3a7d6b"] * 2}
MARKERS = {"floor": "s", "heddle": "o", "thread": "^", "go": "D", "boost_fiber": "v", "tokio": "P",
           "tbb": "X", "asyncio": "<", "gevent": ">"}
NAMES = {"floor": "floor", "heddle": "heddle", "thread": "threads"}

plt.rcParams.update({
    "font.family": "sans-serif", "font.size": 10.5, "svg.fonttype": "path",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#9aa0a8",
    "axes.labelcolor": "#30343a", "xtick.color": "#50555c", "ytick.color": "#30343a",
    "axes.grid": True, "grid.color": "#e4e6ea", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "legend.frameon": False, "axes.titlelocation": "left", "axes.titlesize": 12,
})


def plain(x, _=None):
    return f"{x:,.0f}" if x >= 1 else f"{x:g}"


def svg_of(figure, name):
    """The figure as an <svg> element. `name` keeps its ids apart from those of its neighbours."""
    plt.rcParams["svg.hashsalt"] = name
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    # Ids are the page's, not the figure's: glyphs of one must not stand in for those of another.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
                  r'<svg xmlns="http://www.w3.org/2000/svg" '
                  r'xmlns:xlink="http://www.w3.org/1999/xlink" \1 role="img">', svg, count=1)


def bars(rows):
    """rows: (label, group, Spread), the first on top."""
    rows = [row for row in rows if row[2] is not None]
    figure, axes = plt.subplots(figsize=(9.5, 0.34 * len(rows) + 1.0))
    top = max((s.high for _, _, s in rows), default=1)
    for i, (_, group, s) in enumerate(rows):
        axes.barh(i, s.median, color=COLOURS[group][0], height=0.72)
        axes.plot([s.low, s.high], [i, i], color="#20242a", linewidth=1.1, solid_capstyle="butt")
        axes.text(s.high * 1.12, i, figures.significant(s.median), va="center", fontsize=9.5,
                  color="#30343a")
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, top * 4)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel("nanoseconds a switch, log scale: median, and a line from minimum to maximum")
    for group in ("floor", "heddle", "thread"):
        axes.barh([0], [0], color=COLOURS[group][0], label=NAMES[group])
    axes.legend(loc="upper right")
    return svg_of(figure, "bars")


def ratios(rows, rivals):
    """rows: (label, {word: how many times as good heddle is}), the first on top."""
    rows = list(rows)
    figure, axes = plt.subplots(figsize=(9.5, 0.3 * len(rows) + 1.2))
    names = {rival.word: rival.name + ("" if rival.stackful else " (stackless)")
             for rival in rivals if not rival.record} | {"thread": "threads"}
    for word, name in names.items():
        at = [(factors[word], i) for i, (_, factors) in enumerate(rows) if word in factors]
        axes.plot([x for x, _ in at], [y for _, y in at], MARKERS[word], color=COLOURS[word][0],
                  label=name, markersize=6, alpha=0.9)
    axes.axvline(1, color="#1f5fbf", linewidth=1.4)
    axes.axvspan(1e-3, 1, color="#b00020", alpha=0.05, linewidth=0)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    most = max((x for _, factors in rows for x in factors.values()), default=10)
    least = min((x for _, factors in rows for x in factors.values()), default=0.5)
    axes.set_xlim(min(0.4, least / 1.5), most * 2)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel("how many times as good heddle is, log scale; left of the line it is behind")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg_of(figure, "ratios")


def wakes(plots):
    """Microseconds from the wake of a task on an idle worker to its run, by percentile."""
    figure, grid = plt.subplots(1, len(plots), figsize=(11.5, 4.2), sharey=True)
    for axes, (title, lines) in zip(grid, plots.items()):
        for label, word, points in lines:
            if points:
                axes.plot([p for p, _ in points], [us for _, us in points],
                          color=COLOURS[word][0], marker=MARKERS[word], label=label, markersize=5,
                          linewidth=1.8)
        axes.set_title(f"{title}: µs until it runs")
        axes.set_xlabel("percentile")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(plain))
    legend(grid[-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    return svg_of(figure, "wakes")


def growth(plots, results):
    """Nanoseconds an operation against how much there is of something, a plot each."""
    figure, grid = plt.subplots(2, 2, figsize=(11.5, 7.6))
    for axes, plot in zip(grid.flat, plots):
        for nth, (label, points) in enumerate(plot.lines):
            found = [(n, results.spread(case, "ns")) for n, case in points]
            found = [(n, s) for n, s in found if s is not None]
            colour = COLOURS["heddle"][nth]
            axes.plot([n for n, _ in found], [s.median for _, s in found], color=colour,
                      label=label or None, marker="o", markersize=5, linewidth=1.8)
            axes.fill_between([n for n, _ in found], [s.low for _, s in found],
                              [s.high for _, s in found], color=colour, alpha=0.15, linewidth=0)
        axes.set_title(f"{plot.name}, ns")
        axes.set_xlabel(plot.against)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(bottom=1)
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(plain))
        legend(axes, loc="upper left")
    figure.tight_layout()
    return svg_of(figure, "growth")


def draw(axes, lines, results, counter, factor=1.0):
    seen = {}
    for line in lines:
        points = [(n, results.spread(case, counter)) for n, case in line.points]
        points = [(n, s) for n, s in points if s is not None]
        nth = seen[line.group] = seen.get(line.group, -1) + 1
        if not points:
            continue
        colour = COLOURS[line.group][nth % 2]
        x = [n for n, _ in points]
        axes.plot(x, [s.median * factor for _, s in points], color=colour, label=line.label,
                  marker=MARKERS[line.group], markersize=5, linewidth=1.8,
                  linestyle="--" if line.group == "floor" else "-")
        axes.fill_between(x, [s.low * factor for _, s in points],
                          [s.high * factor for _, s in points], color=colour, alpha=0.15,
                          linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(True, which="major")
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(plain))


def legend(axes, **where):
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**where)


def cost(lines, results):
    """Nanoseconds a switch against the number of tasks that take turns."""
    figure, axes = plt.subplots(figsize=(9.5, 4.4))
    draw(axes, lines, results, "ns")
    axes.set_xlabel("fibers (threads, contexts) that yield in turn")
    axes.set_ylabel("nanoseconds a switch")
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return svg_of(figure, "cost")


def memory(lines, results, map_limit):
    """Memory, and mappings, against the number of tasks that wait."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4))
    # Resident pages and page tables less those of the empty process: bytes_each times n.
    scaled = figures.Results()
    for line in lines:
        for n, case in line.points:
            for c in results.rounds.get(case, []):
                scaled.add(case, {"mib": c["bytes_each"] * n / 2**20, **c})
    draw(left, lines, scaled, "mib")
    left.set_title("memory: resident pages and page tables, MiB")
    legend(left, loc="upper left")
    draw(right, [line for line in lines if line.group != "floor"], results, "mappings")
    right.set_title("mappings of the process")
    right.axhline(map_limit, color="#b00020", linewidth=1, linestyle=":")
    right.annotate(f"limit of the kernel here: {map_limit:,}", (0.02, map_limit),
                   xycoords=("axes fraction", "data"), xytext=(0, -11),
                   textcoords="offset points", fontsize=9, color="#b00020")
    right.set_ylim(10, map_limit * 3)
    legend(right, loc="center left", bbox_to_anchor=(0.0, 0.62))
    for axes in (left, right):
        axes.set_xlabel("fibers (threads) that wait")
    figure.tight_layout()
    return svg_of(figure, "memory")
