# SPDX-License-Identifier: BSL-1.0
# contest: who takes part beside heddle, what each is asked for, and how a row is decided. Data and
# arithmetic only; contest_test.py holds it. The rivals' programs: rivals/README.md.
import dataclasses
import os
import pathlib
import subprocess

import cases
import figures

PYTHON = pathlib.Path(__file__).resolve().parent / "rivals" / "python"


@dataclasses.dataclass(frozen=True)
class Rival:
    """A program that answers for `word`, the second one of a case's name."""
    word: str
    name: str
    stackful: bool     # what waits keeps a stack, so that any function may wait
    package: str       # of Debian
    script: str = ""   # of rivals/python; else it is <build>/bench/rivals/<word>
    record: bool = False  # for the record: at small sizes, in a table of its own

    def command(self, folder):
        return [str(PYTHON / self.script)] if self.script else [str(folder / "rivals" / self.word)]

    def about(self, folder):
        """Its version in a line; None: it is not installed, or does not start."""
        command = self.command(folder)
        if not os.access(command[0], os.X_OK):
            return None
        try:
            said = subprocess.run([*command, "--about"], capture_output=True, text=True, timeout=60,
                                  check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return said.stdout.strip() if said.returncode == 0 else None


RIVALS = [
    Rival("go", "Go", True, "golang-go"),
    Rival("boost_fiber", "Boost.Fiber", True, "libboost-fiber1.81-dev"),
    Rival("tokio", "tokio", False, "librust-tokio-dev"),
    Rival("tbb", "oneTBB", False, "libtbb-dev"),
    Rival("asyncio", "asyncio", False, "python3", "asyncio_rival.py", record=True),
    Rival("gevent", "gevent", True, "python3-gevent", "gevent_rival.py", record=True),
]
BY_WORD = {rival.word: rival for rival in RIVALS}
THREADS = "thread"


def rival_of(case):
    """The Rival whose program runs `case`, or None: it is one of heddle's own programs."""
    return BY_WORD.get(case.split("/")[1])


def case_for(case, word):
    """heddle's `case`, asked of another; None where the question is about heddle itself."""
    program, who, *arguments = case.split("/")
    if who == "heddle_yield_after_float":
        return None
    return "/".join([program, word, *arguments])


def cases_of(target, rivals):
    """{word: (case, counter)} of those that are asked for the figure of `target`."""
    asked = {}
    for rival in rivals:
        case = case_for(target.case, rival.word)
        if case is not None and not rival.record:
            asked[rival.word] = (case, target.counter)
    if target.threads is not None:
        asked[THREADS] = target.threads
    return asked


# Ours beside those that are there for the record, at sizes that they can do; (label, case, counter,
# unit).
RECORD = [
    ("yield", "switch/{}/w:1/n:50000", "ns", "ns"),
    ("yield, 1,000 tasks", "yield_many/{}/w:1/n:1000/yields:100", "ns", "ns"),
    ("round trip over two channels", "chan_pingpong/{}/w:1/n:5000", "ns", "ns"),
    ("channel of 128, 1 to 1", "chan_buffered/{}/w:1/ends:1/n:1000000", "million_per_s", "M/s"),
    ("select over 2", "select/{}/over:2/w:1/n:4000", "ns", "ns"),
    ("spawn and join", "spawn_join/{}/w:1/n:5000", "ns", "ns"),
    ("spawn 10,000, each", "spawn_batch/{}/w:1/n:10000", "ns", "ns"),
    ("skynet, 1,000 leaves, each", "skynet/{}/w:1/n:1000", "ns", "ns"),
    ("mutex, 64 tasks", "mutex/{}/w:1/tasks:64/times:20000", "ns", "ns"),
    ("10,000 sleep for a second", "sleepers/{}/w:1/n:10000", "seconds", "s"),
    ("10,000 wait, each", "parked_memory/{}/w:1/n:10000", "bytes_each", "B"),
    ("fib(15), a task", "fib/{}/w:1/n:15", "ns", "ns"),
    ("sieve, 100 primes", "sieve/{}/w:1/n:100", "seconds", "s"),
]


def record_case(case, word):
    if word == "heddle" and case.startswith("switch/"):
        word = "heddle_yield"
    return case.format(word)


# Rows that page-granular stacks rule out against copied ones, and those whose target stands in
# place of the rival: performance.md. (row, counter or None: each, what or None)
EXEMPT = [(9, None, "sleepers, 1,000,000"), (10, None, None), (12, None, None),
          (5, "peak_mib", None)]


def must_lead(target):
    """Whether heddle is to be ahead of every stackful rival in this row."""
    return not any(row == target.row and counter in (None, target.counter)
                   and target.what.startswith(what or "") for row, counter, what in EXEMPT)


@dataclasses.dataclass(frozen=True)
class Row:
    """One target, with what everybody did."""
    target: cases.Target
    verdict: figures.Verdict
    others: dict           # word: Spread
    best: str              # the best of the stackful ones; None: nobody answered
    ahead: bool            # ours is no worse than that; None: nobody to compare with


def is_stackful(word):
    return word == THREADS or BY_WORD[word].stackful


def decide(target, results, rivals):
    verdict = figures.judge(target, results, cases.JUMP)
    others = {}
    for word, (case, counter) in cases_of(target, rivals).items():
        found = results.spread(case, counter)
        if found is not None:
            others[word] = found
    # Threads do smaller sizes: no rival where the case is another.
    stackful = [w for w in others if is_stackful(w) and (w != THREADS or same_size(target))]
    order = min if target.at_most else max
    best = order(stackful, key=lambda w: others[w].median, default=None)
    ahead = None
    if best is not None and verdict.ours is not None:
        ahead = figures.met(verdict.ours.median, others[best].median, target.at_most)
    return Row(target, verdict, others, best, ahead)


def same_size(target):
    if target.threads is None:
        return False
    return target.case.split("/")[2:] == target.threads[0].split("/")[2:]


def wanted(rivals):
    """All cases of a contest among `rivals`, each once."""
    found = []
    for target in cases.TARGETS:
        found.append(target.case)
        found += [source[0] for source in (target.floor, target.times) if source]
        found += [case for case, _ in cases_of(target, rivals).values()]
    for _, case, _, _ in RECORD:
        found += [record_case(case, "heddle")]
        found += [record_case(case, r.word) for r in rivals if r.record]
    found += [case for line in memory_lines(rivals) for _, case in line.points]
    found += cases.growth_cases()
    return cases.unique([cases.JUMP[0], *found])


def memory_lines(rivals):
    """The plot of memory, with the rivals of which a task waits."""
    lines = cases.memory(1_000_000)
    sizes = [n for n, _ in lines[1].points]
    return lines + [
        cases.Line(r.name, r.word, tuple((n, f"parked_memory/{r.word}/w:1/n:{n}") for n in sizes))
        for r in rivals if not r.record and r.word != "tbb"]
