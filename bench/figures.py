# SPDX-License-Identifier: BSL-1.0
# figures: the arithmetic of the report, and the text of a number. No files, no processes, no plots:
# report_test.py holds it.

import dataclasses
import re
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    """One figure over the rounds of a run."""
    median: float
    low: float
    high: float


def spread(values):
    """None where no round has the figure."""
    values = list(values)
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values))


def case_of(benchmark_name):
    """The case's name: what Google Benchmark appends to say how it timed is cut off."""
    return re.sub(r"(/iterations:\d+)?(/manual_time)?$", "", benchmark_name)


def counters_of(entry):
    """A benchmark's own counters, out of one entry of Google Benchmark's JSON."""
    standard = {"family_index", "per_family_instance_index", "repetitions", "repetition_index",
                "threads", "iterations", "real_time", "cpu_time"}
    return {key: float(value) for key, value in entry.items()
            if key not in standard and isinstance(value, (int, float))
            and not isinstance(value, bool)}


class Results:
    """What was measured: for each case and counter, a value a round; for a case, why it failed."""

    def __init__(self):
        self.rounds = {}
        self.failed = {}
        self.skipped = {}

    def add(self, case, counters):
        self.rounds.setdefault(case, []).append(counters)

    def spread(self, case, counter):
        return spread(c[counter] for c in self.rounds.get(case, []) if counter in c)

    def median(self, case, counter):
        found = self.spread(case, counter)
        return None if found is None else found.median

    def why_not(self, case):
        """The text for a case without a figure."""
        if case in self.failed:
            return "FAILED"
        if case in self.skipped:
            return self.skipped[case]
        return "not run"


def ratio(value, base):
    return None if value is None or base is None or base == 0 else value / base


def ratio_text(r):
    """1.7 is '1.7', but 0.004 is '1/250': a reader compares whole numbers more easily."""
    if r is None:
        return "-"
    if r == 0:
        return "0"
    if r < 0.95:
        return f"1/{significant(1 / r)}"
    return significant(r)


def significant(x):
    """Three digits, thousands apart, no exponent."""
    if x is None:
        return "-"
    if x == 0:
        return "0"
    size = abs(x)
    if size >= 99.95:
        return f"{x:,.0f}"
    if size >= 9.995:
        return f"{x:.1f}"
    return f"{x:.2f}" if size >= 0.01 else f"{x:.4f}"


def scale(measured, given):
    """How much slower this machine's floor is than the one that the targets were written for.

    `given` is (low, high): between the two there is nothing to scale.
    """
    if measured is None:
        return None
    low, high = given
    if measured < low:
        return measured / low
    if measured > high:
        return measured / high
    return 1.0


def scaled(goal, factor, fixed=0.0):
    """A goal in ns or s on this machine; `fixed` is what no machine makes shorter, as a sleep."""
    return fixed + (goal - fixed) * factor


def met(value, goal, at_most=True):
    return value <= goal if at_most else value >= goal


def busy_share(before, after, own_s, ticks_a_second):
    """The share of all processor time that others took between two `cpu` lines of /proc/stat."""
    delta = [b - a for a, b in zip(before, after)][:8]  # what follows is in the first two already
    total = sum(delta)
    if total <= 0:
        return 0.0
    idle = delta[3] + delta[4]
    others = total - idle - own_s * ticks_a_second
    return min(max(others / total, 0.0), 1.0)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One target beside what was measured. Figures that were not measured are None."""
    goal: float            # as performance.md gives it
    goal_here: float       # scaled by the floor, or a multiple of another case of this run
    ours: Spread
    floor: float
    threads: float
    text: str              # met, missed, or why there is no verdict
    by_jump: bool = False  # its row gives no floor: scaled by row 1's


def judge(target, results, jump):
    """The verdict on one target; `jump` is (case, counter, given): the floor of floors."""
    ours = results.spread(target.case, target.counter)
    by_jump = target.floor is None and target.scales and target.times is None
    floor_case = jump if by_jump else target.floor
    floor = None if floor_case is None else results.median(floor_case[0], floor_case[1])
    threads = None
    if target.threads is not None:
        threads = results.median(*target.threads)
    goal_here = target.goal
    if target.times is not None:
        base = results.median(*target.times)
        goal_here = None if base is None else target.goal * base
        floor = base
    elif target.scales:
        factor = scale(floor, floor_case[2])
        goal_here = None if factor is None else scaled(target.goal, factor, target.fixed)
    if ours is None:
        text = results.why_not(target.case)
    elif goal_here is None:
        text = "no floor"
    else:
        text = "met" if met(ours.median, goal_here, target.at_most) else "MISSED"
        if target.scales and target.times is None:
            as_given = "met" if met(ours.median, target.goal, target.at_most) else "MISSED"
            if as_given != text:
                text = f"{text} (as given: {as_given})"
    return Verdict(target.goal, goal_here, ours, floor, threads, text, by_jump)
