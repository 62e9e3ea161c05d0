#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# races_test: trap 16: ThreadSanitizer reports each planted race, and says nothing of the clean
# programs.
#   races_test.py PROGRAM      PROGRAM is races, built with ThreadSanitizer
import os
import re
import subprocess
import sys

REPORT = "WARNING: ThreadSanitizer: data race"


def run(program, kind, name):
    environment = dict(os.environ, TSAN_OPTIONS="exitcode=66")
    return subprocess.run([program, kind, name], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600)


def planted_is_reported(text):
    """Whether there is a report, and every one is about the planted word."""
    reports = [r for r in text.split("==================") if "WARNING: ThreadSanitizer" in r]
    return bool(reports) and all(
        REPORT in r and len(re.findall(r"#0 (?:\(anonymous namespace\)::)?touch_planted", r)) >= 2
        for r in reports)


def main():
    program = sys.argv[1]
    listed = subprocess.run([program, "list"], stdout=subprocess.PIPE, text=True, check=True)
    failed = 0
    names = [line.split() for line in listed.stdout.splitlines()]
    for kind, name in names:
        if kind == "planted":
            attempts = [run(program, kind, name)]
            while not planted_is_reported(attempts[-1].stdout) and len(attempts) < 3:
                attempts.append(run(program, kind, name))
            good = planted_is_reported(attempts[-1].stdout)
            good = good and attempts[-1].returncode == 66
            note = "" if len(attempts) == 1 else f" (attempt {len(attempts)})"
        else:
            attempts = [run(program, kind, name)]
            good, note = attempts[0].returncode == 0 and not attempts[0].stdout, ""
        print(f"{'ok' if good else 'FAILED'}: {kind} {name}{note}")
        if not good:
            failed += 1
            print(f"status {attempts[-1].returncode}\n{attempts[-1].stdout[:6000]}")
    planted = sum(kind == "planted" for kind, _ in names)
    print(f"{planted} planted, {len(names) - planted} clean, {failed} failed")
    sys.exit(1 if failed or planted < 12 else 0)


main()
