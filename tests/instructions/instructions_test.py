#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# instructions_test: how many instructions a hot path takes, and whether it became more. Counted by
# callgrind, which counts the same each time, as no clock does.
#   instructions_test.py PROGRAM FILE           fails where one is over FILE's by more than 5 %
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


def count(program, path, times):
    """The instructions of each thread, by its number."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--separate-threads=yes",
             f"--callgrind-out-file={folder}/out", program, path, str(times)],
            capture_output=True, text=True, timeout=300,
            env={k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")})
        if run.returncode != 0:
            sys.exit(f"{path}: status {run.returncode}\n{run.stderr}")
        return {out.name: int(
                    re.search(r"^totals: (\d+)", out.read_text(encoding="utf-8"), re.M).group(1))
                for out in pathlib.Path(folder).glob("out-*")}


def cost(program, path):
    """What one more time costs the worker; the others sleep, but for the watchdog."""
    few = 2_000
    first = count(program, path, few)

    def growth(times):
        later = count(program, path, few + times)
        return max(later[thread] - first[thread] for thread in first) / times

    return round(growth(round(WORTH / growth(few), -3)))


def main(program, file, write=False):
    paths = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    now = {path: cost(program, path) for path in paths}
    if write:
        with open(file, "w", encoding="utf-8") as out:
            json.dump(now, out, indent=1)
            out.write("\n")
        return 0
    with open(file, encoding="utf-8") as known:
        before = json.load(known)
    print(f"{'instructions of':20} {'known':>6} {'now':>6}")
    for path in now:
        print(f"{path:20} {before.get(path, '-'):>6} {now[path]:>6}")
    if before.keys() != now.keys():
        print(f"{file} has other paths than the program: write it anew (--write)")
        return 1
    more = [path for path in now if now[path] > before[path] * ALLOWED]
    if more:
        print(f"More than before, by over 5 %: {', '.join(more)}. If it must be, write {file} anew "
              "in the same commit (--write), and say there what it is paid for.")
    elif any(now[path] * ALLOWED < before[path] for path in now):
        print(f"Fewer than before, by over 5 %: write {file} anew (--write), so that it stays so.")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3], write="--write" in sys.argv))
