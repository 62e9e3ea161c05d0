#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# reports_test: whether a program says what its head promises, in this order, and how it ends.
#   reports_test.py REPORTS SOURCE [asserts]   REPORTS is the program that holds all of them;
#                                              asserts: it was compiled with HEDDLE_ASSERTIONS
# In the head of the source:
#   //   Says: <regular expression>      a line that it writes to stderr
#   //   Says with HEDDLE_ASSERTIONS: <the same>; without, nothing
#   //   Once: <the same>               not in two lines; also with HEDDLE_ASSERTIONS
#   //   Silent                          it writes none
#   //   Not with: <sanitizer>...        there is no such test then (CMakeLists.txt)
#   //   Only with: <sanitizer>          there is such a test only then (the same)
#   //   Ends: <signal's name>, or the exit status; `hangs`: it goes on until it is killed, when it
#                                        has said all
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 60


def promised(source, asserts):
    head = re.match(r"(?://.*\n)*", source).group().splitlines()
    if asserts:
        head = [line.replace(" with HEDDLE_ASSERTIONS: ", ": ") for line in head]
    says = [line.split("Says: ", 1)[1] for line in head if "   Says: " in line]
    once = [line.split("Once: ", 1)[1] for line in head if "   Once: " in line]
    ends = [line.split("Ends: ", 1)[1] for line in head if "   Ends: " in line]
    return says, once, any(line.endswith("   Silent") for line in head), ends[0]


def missing(says, text):
    """The first of the promised lines that is not there, after those before it; or None."""
    lines = iter(text.splitlines())
    for each in says:
        if not any(re.search(each, line) for line in lines):
            return each
    return None


def run(program, name, says, hangs):
    """Returns what it wrote, and its exit status; None: it was killed."""
    with open(os.memfd_create("stderr"), "r+b", buffering=0) as err:
        child = subprocess.Popen([program, name], stdin=subprocess.DEVNULL, stderr=err)
        give_up = time.monotonic() + PATIENCE_S
        status = None
        while status is None and time.monotonic() < give_up:
            try:
                status = child.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
            err.seek(0)
            text = err.read().decode(errors="replace")
            if hangs and missing(says, text) is None:
                break
        child.kill()
        child.wait()
        err.seek(0)
        return err.read().decode(errors="replace"), status


def main():
    program, source = sys.argv[1], Path(sys.argv[2])
    says, once, silent, ends = promised(source.read_text(), "asserts" in sys.argv)
    text, status = run(program, source.stem, says, ends == "hangs")
    if ends == "hangs":
        expected = None
    elif ends.startswith("SIG"):
        expected = -getattr(signal, ends)
    else:
        expected = int(ends)
    wrong = []
    if status != expected:
        wrong.append(f"it ended with {status}; None: it had to be killed")
    if (silent or not says) and text:
        wrong.append("it was to say nothing")
    lacks = missing(says, text)
    if lacks is not None:
        wrong.append(f"it does not say, after what goes before: {lacks}")
    for each in once:
        if sum(bool(re.search(each, line)) for line in text.splitlines()) > 1:
            wrong.append(f"it says more than once: {each}")
    if wrong:
        sys.exit("\n".join(wrong) + "\nIt said:\n" + text)


main()
