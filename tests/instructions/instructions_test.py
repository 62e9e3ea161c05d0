#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# instructions_test: how many instructions a hot path takes, how many of them are atomic
# read-modify-writes, which cost as much as 90 others, and whether it became more. Counted by
# callgrind, which counts the same each time, as no clock does.
#   instructions_test.py PROGRAM FILE           fails where one is over FILE's: an atomic one by any
#                                               number, all together by more than 5 %
#   instructions_test.py PROGRAM FILE --write   writes FILE anew, for the commit that changes them
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ALLOWED = 1.05
WORTH = 4_000_000  # instructions, beside which those of an interruption do not count
KINDS = ("instructions", "atomics")


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def addresses(program):
    """Where `main` is, and all atomic read-modify-writes."""
    atomic = re.findall(r"^ *([0-9a-f]+):\t(?:lock |xchg .*\()",
                        said_by("objdump", "-d", "--no-show-raw-insn", program), re.M)
    start = re.search(r"^([0-9a-f]+) T main$", said_by("nm", program), re.M).group(1)
    return int(start, 16), {int(at, 16) for at in atomic}


def executed(text, program):
    """(instructions, {address: how often}, where `main` is or None); the last two of the program
    itself. `text` is a file of callgrind's."""
    times, in_main = {}, []
    here = is_main = inclusive = False
    for line in text.splitlines():
        if line.startswith("ob="):
            here = line[3:].strip() == program
        elif line.startswith("fn="):
            is_main = line[3:].strip() == "main"
        elif line.startswith("calls="):
            inclusive = True  # the next line is the callee's
        elif line.startswith("0x"):
            at, _, number = line.split()
            if here and not inclusive:
                times[int(at, 16)] = times.get(int(at, 16), 0) + int(number)
                if is_main:
                    in_main.append(int(at, 16))
            inclusive = False
    total = int(re.search(r"^totals: (\d+)", text, re.M).group(1))
    return total, times, min(in_main, default=None)


def count(program, path, times):
    """{thread: (instructions, atomic ones)}"""
    main_at, atomic = addresses(program)
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--dump-instr=yes",
             "--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={folder}/out",
             program, path, str(times)],
            capture_output=True, text=True, timeout=300,
            env={k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")})
        if run.returncode != 0:
            sys.exit(f"{path}: status {run.returncode}\n{run.stderr}")
        threads = {out.name: executed(out.read_text(encoding="utf-8"), os.path.realpath(program))
                   for out in pathlib.Path(folder).glob("out-*")}
    loaded_at = min(start for _, _, start in threads.values() if start is not None) - main_at
    return {name: (total, sum(n for at, n in times.items() if at - loaded_at in atomic))
            for name, (total, times, _) in threads.items()}


def cost(program, path):
    """What one more time costs the worker; the others sleep, but for the watchdog."""
    few = 2_000
    first = count(program, path, few)

    def growth(times):
        later = count(program, path, few + times)
        return max(tuple((more - less) / times for more, less in zip(later[thread], first[thread]))
                   for thread in first)

    return dict(zip(KINDS, map(round, growth(round(WORTH / growth(few)[0], -3)))))


def main(program, file, write=False):
    now = {path: cost(program, path) for path in said_by(program).split()}
    if write:
        with open(file, "w", encoding="utf-8") as out:
            json.dump(now, out, indent=1)
            out.write("\n")
        return 0
    with open(file, encoding="utf-8") as known:
        before = json.load(known)
    if before.keys() != now.keys():
        print(f"{file} has other paths than the program: write it anew (--write)")
        return 1
    print(f"{'':20} {'known':>6} {'now':>6}   {'atomic':>6} {'now':>6}")
    for path in now:
        columns = [before[path][kind] for kind in KINDS], [now[path][kind] for kind in KINDS]
        print(f"{path:20} " + "   ".join(f"{a:>6} {b:>6}" for a, b in zip(*columns)))
    more = [path for path in now
            if now[path]["instructions"] > before[path]["instructions"] * ALLOWED
            or now[path]["atomics"] > before[path]["atomics"]]
    if more:
        print(f"More than before: {', '.join(more)}. If it must be, write {file} anew "
              "in the same commit (--write), and say there what it is paid for.")
    elif any(now[path]["instructions"] * ALLOWED < before[path]["instructions"]
             or now[path]["atomics"] < before[path]["atomics"] for path in now):
        print(f"Fewer than before: write {file} anew (--write), so that it stays so.")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3], write="--write" in sys.argv))
