# SPDX-License-Identifier: BSL-1.0
# contest_page: docs/benchmarks.md, out of what rivals.py has measured. What each row pays above its
# floor is told by people: row_notes.py.
import cases
import contest
import row_notes
from figures import ratio, significant

HEAD = """# heddle beside its rivals

This page is made by `make bench-rivals`, which installs the rivals that Debian packages, builds
all, and runs them in alternation with heddle, in one run. The workloads are those of `bench/`; the
rivals' programs are in [bench/rivals](../bench/rivals/README.md), where the rules stand too. What
is worse than a rival is told as plainly as what is better.
"""


def drawn(plots, rows, rivals, results, found):
    """{name: SVG}."""
    lines = contest.memory_lines(rivals)
    return {"ratios": plots.ratios(ratio_rows(rows), contest.RIVALS),
            "memory": plots.memory(lines, results, found["map_limit"]),
            "growth": plots.growth(cases.GROWTH, results),
            "wake": plots.wakes(wake_lines(rivals, results))}


def wake_lines(rivals, results):
    """{how often: [(label, word, [(percentile, us)])]} of those who wake idle workers."""
    found = {}
    words = ["heddle", *(r.word for r in rivals if not r.record), contest.THREADS]
    for every, n in ((5, 10_000), (100, 2_000)):
        lines = []
        for word in words:
            case = f"wake_latency/{word}/every_us:{every}/n:{n}"
            points = [(p, results.median(case, f"p{p}_us")) for p in (1, 10, 25, 50, 75, 90, 99)]
            lines.append((word if word == "heddle" else name_of(word), word,
                          [(p, us) for p, us in points if us is not None]))
        found[f"woken every {every} µs"] = lines
    return found


def ratio_rows(rows):
    """(label, {word: how many times as good heddle is}) for the plot."""
    for row in rows:
        ours = row.verdict.ours
        if ours is None or ours.median == 0 or row.target.times is not None and not row.others:
            continue
        factors = {}
        for word, spread in row.others.items():
            if word == contest.THREADS and not contest.same_size(row.target):
                continue
            if spread.median == 0:
                continue
            factors[word] = (spread.median / ours.median if row.target.at_most
                             else ours.median / spread.median)
        if factors:
            yield f"{row.target.row} {row.target.what}", factors


def cell(spread):
    if spread is None:
        return "–"
    low, middle, high = map(significant, (spread.low, spread.median, spread.high))
    return middle if low == high else f"{middle} <sub>{low}–{high}</sub>"


def name_of(word):
    if word is None:
        return ""
    return "threads" if word == contest.THREADS else contest.BY_WORD[word].name


def table(head, rows, left=1):
    align = ["---" if i < left else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, align, *rows])


def factor(row):
    """How many times as good as the best stackful rival."""
    if row.best is None or row.verdict.ours is None:
        return ""
    ours, theirs = row.verdict.ours.median, row.others[row.best].median
    r = ratio(theirs, ours) if row.target.at_most else ratio(ours, theirs)
    return "" if r is None else f"{significant(r)}"


def verdict_cells(row):
    target, verdict = row.target, row.verdict
    sign = "≤" if target.at_most else "≥"
    goal = f"{sign} {significant(target.goal)}{' ×' if target.times else ''}"
    here = "" if verdict.goal_here is None else significant(verdict.goal_here)
    lead = ""
    if row.ahead is not None:
        lead = "yes" if row.ahead else ("**no**" if contest.must_lead(target) else "no (exempt)")
    text = verdict.text.replace("MISSED", "**missed**")
    return [f"{target.row}", target.what, target.unit, goal, here,
            cell(verdict.ours), text, name_of(row.best),
            cell(row.others.get(row.best)) if row.best else "", factor(row), lead]


def all_cells(row, words):
    target = row.target
    cells = [f"{target.row}", target.what, target.unit,
             significant(row.verdict.floor) if row.verdict.floor is not None else "",
             cell(row.verdict.ours)]
    for word in words:
        text = cell(row.others.get(word))
        if word == contest.THREADS and word in row.others and not contest.same_size(target):
            text += " †"
        cells.append(text)
    return cells


def summary(rows):
    judged = [r for r in rows if r.verdict.ours is not None]
    met = sum(r.verdict.text.startswith("met") for r in judged)
    compared = [r for r in judged if r.ahead is not None]
    ahead = sum(r.ahead for r in compared)
    behind = [f"{r.target.what} ({name_of(r.best)})" for r in compared if not r.ahead]
    text = (f"{met} of {len(judged)} targets are met. heddle is ahead of every stackful rival in "
            f"{ahead} of {len(compared)} rows.")
    if behind:
        text += f" Behind: {'; '.join(behind)}."
    missed = [r.target.what for r in judged if r.verdict.text.startswith("MISSED")]
    if missed:
        text += f" Targets missed: {'; '.join(missed)}."
    return text


def record_rows(rivals, results):
    words = [r.word for r in rivals if r.record]
    for label, case, counter, unit in contest.RECORD:
        yield [label, unit, cell(results.spread(contest.record_case(case, "heddle"), counter)),
               *(cell(results.spread(contest.record_case(case, w), counter)) for w in words)]


def markdown(rows, rivals, results, found):
    words = [r.word for r in rivals if not r.record] + [contest.THREADS]
    names = [name_of(w) + ("" if contest.is_stackful(w) else " \\*") for w in words]
    record = [r for r in rivals if r.record]
    absent = [f"{r.name} ({r.package})" for r in contest.RIVALS if r not in rivals]
    parts = [HEAD, f"**{summary(rows)}**\n",
             "## Targets, and the best stackful rival\n",
             table(["row", "workload", "", "target", "here", "heddle", "verdict",
                    "best stackful rival", "its figure", "times", "ahead"],
                   map(verdict_cells, rows), left=3), "",
             "A figure is the median of the rounds, and small beside it the least and the "
             "greatest. *target*: as it was set; *here*: scaled to this machine by the row's "
             "floor, or by the raw jump where the row has none (bytes, ratios and rates are not "
             "scaled). *times*: how many times as good as that rival. *exempt*: where stacks of "
             "whole pages rule out a lead over copied ones, or the target stands in place of the "
             "rival.\n",
             "![How many times as good as each rival](benchmarks/ratios.svg)\n",
             "## Everybody\n",
             table(["row", "workload", "", "floor", "heddle", *names],
                   [all_cells(row, words) for row in rows], left=3), "",
             "\\* stackless: what waits must be written as a coroutine or a callback. † threads do "
             "a smaller size: so many are out of their reach. –: it cannot do that, or failed.\n",
             "![Memory and mappings against number of fibers](benchmarks/memory.svg)\n",
             "![How long a wake takes](benchmarks/wake.svg)\n",
             "## What is paid above the floor\n", row_notes.COST,
             table(["row", "floor", "paid above it"], row_notes.PAID, left=3), "",
             "## Growth\n", "![Cost against size](benchmarks/growth.svg)\n", row_notes.GROWTH]
    if record:
        parts += ["## For the record: Python\n",
                  "At sizes that they can do, one thread.\n",
                  table(["workload", "", "heddle", *(r.name for r in record)],
                        record_rows(rivals, results), left=2), ""]
    parts += ["## How it was measured\n", method(found, absent)]
    return "\n".join(parts)


def method(found, absent):
    lines = [f"{found['rounds']} rounds, {found['took_s']:,} s in all. In each, every case of "
             "everybody runs once, in a process of its own, in an order drawn anew (seed "
             f"{found['seed']}); a case that takes long runs in fewer of them. A body "
             "warms up, then runs for a tenth of a second and more, and times itself inside the "
             "runtime. Nothing is pinned but threads: with w=1 to one core.\n"]
    facts = {**{contest.BY_WORD[w].name: about for w, about in found["about"].items()
                if about is not None}, **found["machine"]}
    if absent:
        facts["not installed"] = ", ".join(absent)
    lines += [table(["", ""], [[name, value] for name, value in facts.items()], left=2), ""]
    why = {}
    for case, message in {**found["failed"], **found["skipped"]}.items():
        program, who, *arguments = case.split("/")
        why.setdefault((who, message), []).append("/".join([program, *arguments]))
    if why:
        lines += ["What has no figure, and why:\n",
                  *(f"- {who}: {message}: {', '.join(sorted(asked))}"
                    for (who, message), asked in sorted(why.items())), ""]
    return "\n".join(lines)
