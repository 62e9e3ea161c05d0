# SPDX-License-Identifier: BSL-1.0
# page: the report as text for a terminal and as one page of HTML that needs no network.
import html

import cases
import figures
from figures import ratio, ratio_text, significant

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
       color: #20242a; background: #fff; max-width: 1120px; margin: 2.5rem auto;
       padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p { max-width: 46rem; } .lead { font-size: 1.08rem; }
svg { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .26rem .55rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .6rem; }
th { font-weight: 600; border-bottom: 2px solid #c9ced6; } td { border-bottom: 1px solid #eceef1; }
tr.floor td:first-child { border-left: 4px solid #8a8f98; }
tr.heddle td:first-child { border-left: 4px solid #1f5fbf; }
tr.thread td:first-child { border-left: 4px solid #c2571a; }
tr.heddle td { background: #f3f7fd; }
td.left, th.left { text-align: left; }
tr.met td:last-child { color: #14713a; } tr.missed td { color: #b00020; }
small, .notes { color: #5a6069; font-size: .85rem; } dl { display: grid;
  grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { color: #5a6069; } dd { margin: 0; }
"""


def switch_rows(results):
    """(Switch, Spread or None, share of real switches) for each line, and the best raw thread."""
    rows = []
    for line in cases.SWITCHES:
        s = results.spread(line.case, "ns")
        if s is not None:
            s = figures.Spread(*(x * line.share for x in (s.median, s.low, s.high)))
        rows.append((line, s, results.median(line.case, "switched")))
    real = [s.median for line, s, share in rows
            if line.group == "thread" and s and (share is None or share > 0.5)]
    return rows, min(real, default=None)


def note_of(line, share):
    if share is None or share > 0.95:
        return ""
    if line.group == "thread":
        return "spins: no switch" if share < 0.05 else f"{share:.0%} slept, the rest spun"
    return f"{share:.0%} of the yields switched"


def switch_cells(results):
    rows, best = switch_rows(results)
    jump = results.median(*cases.JUMP[:2])
    for line, s, share in rows:
        if s is None:
            yield line, [line.label, results.why_not(line.case), "", "", "", ""]
            continue
        yield line, [line.label, significant(s.median),
                     f"{significant(s.low)} - {significant(s.high)}",
                     ratio_text(ratio(s.median, jump)), ratio_text(ratio(s.median, best)),
                     note_of(line, share)]


SWITCH_HEAD = ["one switch", "ns", "min - max", "x raw jump", "x best thread", ""]
TARGET_HEAD = ["row, workload", "", "target", "here", "ours", "min - max", "floor", "threads",
               "x threads", ""]


def target_cells(results, targets):
    for target in targets:
        v = figures.judge(target, results, cases.JUMP)
        sign = "<=" if target.at_most else ">="
        goal = f"{sign} {significant(v.goal)}" + (" x" if target.times else "")
        here = significant(v.goal_here) + ("+" if v.by_jump else "")
        ours = v.ours
        yield target, v, [
            f"{target.row:>2} {target.what}", target.unit, goal, here,
            significant(ours.median) if ours else "-",
            f"{significant(ours.low)} - {significant(ours.high)}" if ours else "",
            significant(v.floor), significant(v.threads),
            ratio_text(ratio(ours.median if ours else None, v.threads)), v.text]


TARGET_NOTES = (
    "target: as performance.md gives it; here: scaled by floor measured / floor given, or the "
    "multiple of what the row names; +: the row gives no floor, so the raw jump of row 1 stands "
    "in. "
    "Not scaled: the second that sleepers sleep, bytes, ratios and rates. Threads do a smaller "
    "size where the full one is out of their reach; below, both do the same.")
SIDE_HEAD = ["same size for both", "", "heddle", "threads", "x threads"]


def side_cells(results):
    for label, case, counter, unit in cases.SIDE_BY_SIDE:
        for w in (1, 2):
            ours, theirs = (results.median(case.format(who, w), counter)
                            for who in ("heddle", "thread"))
            yield [label.format(w), unit, significant(ours), significant(theirs),
                   ratio_text(ratio(ours, theirs))]


def text_table(head, rows, left=(0,)):
    """Columns as wide as they must be; numbers to the right, `left` columns to the left."""
    table = [head, *rows]
    width = [max(len(row[i]) for row in table) for i in range(len(head))]

    def line(row):
        cells = [row[i].ljust(width[i]) if i in left else row[i].rjust(width[i])
                 for i in range(len(head))]
        return "  ".join(cells).rstrip()
    return "\n".join([line(head), "-" * (sum(width) + 2 * (len(head) - 1)), *map(line, rows)])


def html_table(head, rows, classes, left=()):
    def cells(row, tag):
        return "".join(f'<{tag}{" class=left" if i in left else ""}>{html.escape(cell)}</{tag}>'
                       for i, cell in enumerate(row))
    body = "".join(f'<tr class="{c}">{cells(row, "td")}</tr>\n' for row, c in zip(rows, classes))
    return (f'<div class="wide"><table><thead><tr>{cells(head, "th")}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>")


def class_of(verdict):
    if verdict.text.startswith(("MISSED", "FAILED")):
        return "missed"
    return "met" if verdict.text.startswith("met") else ""


def lead(results):
    """The answer in a sentence or two."""
    yield_ns = results.median("switch/heddle_yield/w:1/n:50000", "ns")
    jump = results.median(*cases.JUMP[:2])
    _, best = switch_rows(results)
    if None in (yield_ns, jump, best):
        return "Some of the figures that this page opens with are missing; see the table."
    return (f"A heddle fiber yields to another in <b>{significant(yield_ns)} ns</b>: "
            f"{significant(yield_ns / jump)} times a bare Boost.Context jump "
            f"({significant(jump)} ns), and {significant(best / yield_ns)} times less than the "
            f"cheapest switch between two threads ({significant(best)} ns).")


def html_page(results, machine, plots, targets, rounds, seed, side=False):
    switches = list(switch_cells(results))
    judged = list(target_cells(results, targets))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>heddle: what a switch costs</title><style>{STYLE}</style>",
        f"<h1>What a switch costs</h1><p class=lead>{lead(results)}</p>",
        plots["bars"],
        "<h2>Every switch, in one run</h2>",
        html_table(SWITCH_HEAD, [row for _, row in switches], [s.group for s, _ in switches],
                   left=(5,)),
        "<p class=notes>Two parties take turns; an operation is one switch, half of a round trip."
        " The best thread is the cheapest one that really switches; two threads that spin on"
        " two cores hand over a word, and keep both cores busy.</p>",
        "<h2>Cost against number of fibers</h2>", plots["cost"],
        "<p class=notes>Each yields in turn; starting and joining them is in the figure. Past a"
        " thousand, what is switched to is no longer in the nearest cache.</p>",
        "<h2>Memory and mappings against number of fibers</h2>", plots["memory"],
        "<p class=notes>All wait for one event. What the kernel keeps for each thread (its kernel"
        " stack and task, some 20 KiB) is in no process's count, and so not in this plot.</p>",
        "<h2>Targets</h2>",
        html_table(TARGET_HEAD, [row for _, _, row in judged],
                   [class_of(v) for _, v, _ in judged], left=(1, 9)),
        f"<p class=notes>{html.escape(TARGET_NOTES)}</p>"]
    if side:
        rows = list(side_cells(results))
        parts += [html_table(SIDE_HEAD, rows, [""] * len(rows), left=(1,)),
                  "<h2>Growth</h2>", plots["growth"]]
    facts = "".join(f"<dt>{html.escape(k)}<dd>{html.escape(v)}" for k, v in machine.items())
    parts += [
        "<h2>How it was measured</h2>",
        f"<p>{rounds} rounds (the plots against the number of fibers: fewer). In each, every case"
        " runs once, in a process of its own, in an order"
        f" drawn anew (seed {seed}): floor, fibers and threads see the same neighbours. A case"
        " warms up, then runs for a tenth of a second and more; Google Benchmark counts. Figures"
        " are medians over the rounds. Threads on the same core are pinned to one, others to one"
        " each; fibers are not pinned. A body times itself, inside the fiber or thread: starting"
        " a runtime is not in it.</p>", f"<dl>{facts}</dl>", "</html>"]
    return "\n".join(parts)
