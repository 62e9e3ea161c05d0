#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# report: runs the benchmarks in alternating rounds, prints a table, writes <build>/bench/*.json and
# <build>/bench/report.html.
#   bench/report.py            the cost of a switch (`make bench`): under two minutes
#   bench/report.py --all      everything, beside the targets (`make bench-all`): some ten minutes
#   bench/report.py --smoke    every program, shortly: does it run?
# Exit status: 0; 1 if a benchmark failed; 2 if it could not start.
import argparse
import datetime
import glob
import json
import os
import pathlib
import platform
import random
import re
import signal
import subprocess
import sys
import textwrap
import time

import cases
import contest
import figures
import page

CANNOT = 3  # a rival's exit status for what it has not
TIMEOUT_S = 180
HERE = pathlib.Path(__file__).resolve().parent


class CannotStart(Exception):
    """What is missing, and what to do about it."""


def load_plots():
    try:
        import plots
    except ImportError as error:
        raise CannotStart(f"no matplotlib for {sys.executable} ({error}): install Debian's "
                          "python3-matplotlib and use /usr/bin/python3") from error
    return plots


def check_programs(folder, wanted):
    programs = sorted({cases.program_of(case) for case in wanted})
    missing = [p for p in programs if not os.access(folder / p, os.X_OK)]
    if missing:
        raise CannotStart(f"{folder} has no {', '.join(missing)}: configure with -DHEDDLE_BENCH=ON,"
                          " build, and name the build folder with --build")


def environment():
    """No variable may change the defaults that are measured."""
    return {key: value for key, value in os.environ.items() if not key.startswith("HEDDLE_")}


def run_case(folder, case, min_time, timeout_s):
    """Runs one case in a process of its own; returns (counters, context) or raises RuntimeError."""
    process = subprocess.Popen(
        command_of(folder, case, min_time), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: nobody else is in it
        process.communicate()
        raise RuntimeError(f"hung: killed after {timeout_s} s") from None
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    last = " | ".join(line for line in err.strip().splitlines()[-3:] if "WARNING" not in line)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise RuntimeError(f"died by {name}{': ' + last if last else ''}")
    rival = contest.rival_of(case)
    if rival is not None and process.returncode == CANNOT:
        raise RuntimeError(last)
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}: {last}")
    return parse(case, out) if rival is None else (parse_rival(out), {})


def command_of(folder, case, min_time):
    rival = contest.rival_of(case)
    if rival is not None:
        return [*rival.command(folder), case, str(min_time)]
    pattern = f"^{re.escape(case)}(/iterations:[0-9]+)?/manual_time$".replace("\\-", "-")
    return [str(folder / cases.program_of(case)), f"--benchmark_filter={pattern}",
            "--benchmark_format=json", f"--benchmark_min_time={min_time}"]


def parse_rival(text):
    """The figures that a rival's program prints: rivals/README.md."""
    try:
        found = json.loads(text)
        return {name: float(value) for name, value in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise RuntimeError(f"no figures, but {text[:60]!r}") from None


def parse(case, text):
    """The counters of the one benchmark in Google Benchmark's JSON, and the context."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        raise RuntimeError("no such benchmark in its program") from None
    entries = [b for b in found["benchmarks"] if figures.case_of(b["name"]) == case]
    if not entries:
        raise RuntimeError("no such benchmark in its program")
    entry = entries[0]
    if entry.get("error_occurred"):
        raise RuntimeError(entry.get("error_message", "failed without a message"))
    return figures.counters_of(entry), found["context"]


class Run:
    """All rounds of one call of this program."""

    def __init__(self, folder, wanted, rounds, min_time, seed, quick=False, most_s=None):
        self.folder, self.wanted, self.rounds, self.quick = folder, wanted, rounds, quick
        self.most_s, self.spent = most_s, {}  # seconds of a case in all rounds, most and so far
        self.min_time, self.random = min_time, random.Random(seed)
        self.results, self.context, self.records = figures.Results(), {}, []
        self.others = 0.0  # the share of the processors that other programs took

    def all_rounds(self):
        before, own_before = processor_ticks(), own_seconds()
        for number in range(self.rounds):
            self.round(number)
        progress("")
        self.others = figures.busy_share(before, processor_ticks(), own_seconds() - own_before,
                                         os.sysconf("SC_CLK_TCK"))

    def round(self, number):
        order = [case for case in self.wanted if self.takes_part(case, number)]
        self.random.shuffle(order)
        for i, case in enumerate(order):
            progress(f"round {number + 1} of {self.rounds}: {i + 1}/{len(order)} {case}")
            began = time.monotonic()
            try:
                counters, context = run_case(self.folder, case, self.min_time, TIMEOUT_S)
            except RuntimeError as error:
                self.note_failure(case, str(error))
                continue
            took = time.monotonic() - began
            self.context = context or self.context
            self.results.add(case, counters)
            self.spent[case] = self.spent.get(case, 0.0) + took
            self.records.append({"round": number, "case": case, **counters,
                                 "wall_s": round(took, 3)})

    def takes_part(self, case, number):
        """A case that failed once is not tried again: it may take its time to hang."""
        most = cases.most_rounds(case, self.quick)
        bad = case in self.results.failed or case in self.results.skipped
        # A round more would take as long as those before it.
        spent = self.spent.get(case, 0.0)
        too_long = (self.most_s is not None and number > 0
                    and spent * (number + 1) / number > self.most_s)
        return not bad and not too_long and (most is None or number < most)

    def note_failure(self, case, message):
        if message.startswith("needs "):
            self.results.skipped[case] = message
            return
        self.results.failed[case] = message
        progress("")
        print(f"bench: {case}: {message}", file=sys.stderr)

    def write_json(self, path, seed):
        path.write_text(json.dumps({
            "context": self.context, "machine": machine(self), "rounds": self.rounds,
            "seed": seed, "runs": self.records, "failed": self.results.failed,
            "skipped": self.results.skipped}, indent=1) + "\n", encoding="utf-8")


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)


def first_match(path, pattern, otherwise):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"), re.M)
    except OSError:
        return otherwise
    return found.group(1).strip() if found else otherwise


def processor_ticks():
    """The counters of /proc/stat for all processors together."""
    with open("/proc/stat", encoding="ascii") as stat:
        return [int(word) for word in stat.readline().split()[1:]]


def own_seconds():
    """Processor time of this program and of the benchmarks that have ended."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def machine(run):
    """Where and with what it was measured, for people."""
    model = first_match("/proc/cpuinfo", r"^model name\s*:\s*(.+)$", platform.machine())
    memory = int(first_match("/proc/meminfo", r"^MemTotal:\s*(\d+)", "0")) / 2**20
    governors = {first_match(path, r"(\S+)", "?") for path in
                 glob.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    hypervisor = first_match("/proc/cpuinfo", r"^flags.*\b(hypervisor)\b", "")
    pages = first_match("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]", "unknown")
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores usable"
                     + (", a virtual machine" if hypervisor else ""),
        "memory": f"{memory:.0f} GiB; huge pages: {pages}",
        "system": f"{platform.system()} {platform.release()}",
        "compiler": run.context.get("compiler", "unknown"),
        "Boost": run.context.get("boost", "unknown"),
        "governor": ", ".join(sorted(governors)) or "not visible",
        "date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "other programs": f"took {run.others:.0%} of the processors meanwhile",
    }


def map_limit():
    return int(first_match("/proc/sys/vm/max_map_count", r"(\d+)", "65530"))


def print_report(run, targets, everything):
    results = run.results
    print("\nWhat one switch costs\n")
    print(page.text_table(page.SWITCH_HEAD, [row for _, row in page.switch_cells(results)],
                          left=(0, 5)))
    print("\nTargets\n")
    print(page.text_table(page.TARGET_HEAD,
                          [row for _, _, row in page.target_cells(results, targets)],
                          left=(0, 1, 9)))
    print(f"\n{textwrap.fill(page.TARGET_NOTES, 100)}")
    if everything:
        print()
        print(page.text_table(page.SIDE_HEAD, list(page.side_cells(results)), left=(0, 1)))


def write_page(run, plots, path, targets, seed, everything):
    bars = [(line.label, line.group, s) for line, s, _ in page.switch_rows(run.results)[0]]
    lines = cases.memory(1_000_000 if everything else 100_000)
    drawn = {"bars": plots.bars(bars), "cost": plots.cost(cases.COST, run.results),
             "memory": plots.memory(lines, run.results, map_limit())}
    if everything:
        drawn["growth"] = plots.growth(cases.GROWTH, run.results)
    path.write_text(page.html_page(run.results, machine(run), drawn, targets, run.rounds,
                                   seed, side=everything), encoding="utf-8")


def arguments(argv):
    parser = argparse.ArgumentParser(description="Runs heddle's benchmarks and reports.")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--quick", action="store_true", help="the cost of a switch (the default)")
    part.add_argument("--all", action="store_true", help="everything, beside the targets")
    part.add_argument("--smoke", action="store_true", help="every program once, shortly")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build",
                        help="the build folder (default: build/ beside bench/)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument("--seed", type=int, help="of the order of the cases (default: drawn)")
    parser.add_argument("--only", metavar="REGEX", help="only the cases that match")
    given = parser.parse_args(argv)
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    return given


def choose(given):
    """(cases, rounds, min_time in s, name of the JSON file)."""
    if given.smoke:
        return cases.SMOKE, 1, 0.005, "smoke"
    if given.all:
        return cases.all_cases(), given.rounds, 0.2, "all"
    return cases.quick_cases(), given.rounds, 0.1, "quick"


def main(argv):
    given = arguments(argv)
    wanted, rounds, min_time, name = choose(given)
    if given.only:
        wanted = [case for case in wanted if re.search(given.only, case)]
    folder = given.build / "bench"
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    plots = load_plots()
    check_programs(folder, wanted)
    began = time.monotonic()
    run = Run(folder, wanted, rounds, min_time, seed, quick=not given.all)
    run.all_rounds()
    targets = [t for t in cases.TARGETS if given.all or t.row == 1]
    run.write_json(folder / f"{name}.json", seed)
    if not given.smoke:
        print_report(run, targets, given.all)
    # A smoke run writes a page too, to see that it can; not over one with figures that count.
    html = folder / ("smoke.html" if given.smoke else "report.html")
    write_page(run, plots, html, targets, seed, given.all)
    took = time.monotonic() - began
    print(f"\n{len(wanted)} cases, {len(run.results.failed)} failed, {took:.0f} s; "
          f"{folder / name}.json, {html}")
    if run.others > 0.05 and not given.smoke:
        print(f"Other programs took {run.others:.0%} of the processors meanwhile: the figures are "
              "worse than they need be. Repeat it on an idle machine.")
    for case, message in run.results.failed.items():
        print(f"FAILED {case}: {message}")
    return 1 if run.results.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotStart as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
