#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# rivals: runs heddle and its rivals in alternating rounds (`make bench-rivals`); writes
# <build>/bench/rivals.json, docs/benchmarks.md and the plots in docs/benchmarks/.
#   bench/rivals.py --from JSON   writes the page anew, out of a run that was
# A rival that is not installed is left out, and named. Exit status: as report.py's.
import argparse
import json
import pathlib
import random
import re
import sys
import time

import cases
import contest
import contest_page
import figures
import report

DOCS = report.HERE.parent / "docs"
# A case that takes long gets fewer rounds: all of them together take no longer than this, in s.
MOST_S = 15


def arguments(argv):
    parser = argparse.ArgumentParser(description="Runs heddle's benchmarks beside its rivals'.")
    parser.add_argument("--build", type=pathlib.Path, default=report.HERE.parent / "build",
                        help="the build folder (default: build/ beside bench/)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument("--seed", type=int, help="of the order of the cases (default: drawn)")
    parser.add_argument("--only", metavar="REGEX", help="only the cases that match")
    parser.add_argument("--from", dest="source", type=pathlib.Path, metavar="JSON",
                        help="measure nothing, read what was measured")
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS,
                        help="where the page goes (default: docs/)")
    given = parser.parse_args(argv)
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    return given


def measure(given):
    """What is written to rivals.json."""
    folder = given.build / "bench"
    about = {r.word: r.about(folder) for r in contest.RIVALS}
    rivals = [r for r in contest.RIVALS if about[r.word] is not None]
    for rival in contest.RIVALS:
        if about[rival.word] is None:
            print(f"bench: {rival.name} is left out: not installed ({rival.package}), or not built",
                  file=sys.stderr)
    wanted = [case for case in contest.wanted(rivals)
              if given.only is None or re.search(given.only, case)]
    report.check_programs(folder, [case for case in wanted if contest.rival_of(case) is None])
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    run = report.Run(folder, wanted, given.rounds, 0.1, seed, most_s=MOST_S)
    began = time.monotonic()
    run.all_rounds()
    path = folder / "rivals.json"
    found = {"about": about, "seed": seed, "rounds": given.rounds, "machine": report.machine(run),
             "map_limit": report.map_limit(), "others": run.others,
             "took_s": round(time.monotonic() - began), "runs": run.records,
             "failed": run.results.failed, "skipped": run.results.skipped}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"bench: {len(wanted)} cases, {len(run.results.failed)} failed; {path}", file=sys.stderr)
    return found


def results_of(found):
    results = figures.Results()
    for record in found["runs"]:
        results.add(record["case"], {k: v for k, v in record.items()
                                     if k not in ("round", "case", "wall_s")})
    results.failed, results.skipped = found["failed"], found["skipped"]
    return results


def main(argv):
    given = arguments(argv)
    plots = report.load_plots()
    if given.source is not None:
        found = json.loads(given.source.read_text(encoding="utf-8"))
    else:
        found = measure(given)
    results = results_of(found)
    rivals = [r for r in contest.RIVALS if found["about"].get(r.word) is not None]
    rows = [contest.decide(target, results, rivals) for target in cases.TARGETS]
    folder = given.docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in contest_page.drawn(plots, rows, rivals, results, found).items():
        (folder / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    page = given.docs / "benchmarks.md"
    page.write_text(contest_page.markdown(rows, rivals, results, found), encoding="utf-8")
    print(contest_page.summary(rows))
    print(page)
    for case, message in found["failed"].items():
        print(f"FAILED {case}: {message}")
    return 1 if any(contest.rival_of(case) is None for case in found["failed"]) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except report.CannotStart as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
