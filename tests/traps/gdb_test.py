#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# gdb_test: trap 35: a debugger's backtrace ends at a fiber's entry, without a complaint.
#   gdb_test.py GDB PROGRAM      PROGRAM is stops_in_a_fiber
import re
import subprocess
import sys

STOPS = 12


def backtraces(gdb, program):
    commands = ["set pagination off", "set confirm off", "set debuginfod enabled off",
                "set backtrace past-main on", "break stop_here", "run"]
    for _ in range(STOPS):
        commands += ["echo ---- stop\\n", "backtrace 100", "continue"]
    arguments = [gdb, "-nx", "-batch"]
    for each in commands:
        arguments += ["-ex", each]
    run = subprocess.run(arguments + ["--args", program], capture_output=True, text=True, timeout=100)
    parts = re.split(r"^---- stop$", run.stdout, flags=re.M)
    return [p.split("\n") for p in parts[1:]], run.stdout + run.stderr


def complaints(lines):
    """What is wrong with one backtrace."""
    frames = [l for l in lines if re.match(r"#\d+ ", l)]
    text = "\n".join(lines)
    if not frames or " stop_here " not in frames[0]:
        yield "it does not begin at the breakpoint"
    elif " in_between" not in frames[1]:
        yield "the caller is missing"
    if frames and not re.search(r"[ :]heddle_fiber_entry ", frames[-1]):
        yield "it does not end at the fiber's entry"
    if len(frames) > 20:
        yield "it is too long"
    if re.search(r"Backtrace stopped|corrupt|Cannot access memory", text):
        yield "gdb complains"


def main():
    gdb, program = sys.argv[1:]
    traces, everything = backtraces(gdb, program)
    failed = len(traces) != STOPS
    if failed:
        print(f"{len(traces)} stops, {STOPS} expected")
    for lines in traces:
        for what in complaints(lines):
            failed = True
            print(what + ":", *lines, sep="\n  ")
    if failed:
        print(everything)
    sys.exit(1 if failed else 0)


main()
