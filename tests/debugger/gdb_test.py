#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# gdb_test: fibers in gdb: in a live process, in core files, and without debug information.
#   gdb_test.py GDB SCRIPT PROGRAM      SCRIPT is heddle_gdb.py, PROGRAM is parked
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import core_file

GDB, SCRIPT, PROGRAM = sys.argv[1:4]
FEW, MANY = 12, 1000


def gdb(*commands, program=PROGRAM, arguments=(), core=None):
    """What gdb says to these commands, each one's answer under `==== command`."""
    line = [GDB, "-nx", "-batch"]
    for each in ["set pagination off", "set debuginfod enabled off", "set width 0",
                 f"source {SCRIPT}", *commands]:
        line += ["-ex", f"echo ==== {each}\\n", "-ex", each]
    line += ["--args", program, *map(str, arguments)] if core is None else [program, core]
    run = subprocess.run(line, capture_output=True, text=True, timeout=core_file.PATIENCE_S,
                         stdin=subprocess.DEVNULL)
    answers = re.split(r"^==== (.*)\n", run.stdout, flags=re.M)
    assert "Traceback" not in run.stderr and "Python Exception" not in run.stderr, run.stderr
    return list(zip(answers[1::2], answers[2::2])), run.stderr


def live(*commands, count=FEW, program=PROGRAM):
    """The answers to `commands` where the program has stopped by itself, and all complaints."""
    answers, errors = gdb("run", *commands, program=program, arguments=(count, "stop"))
    told = dict(answers)
    assert "SIGTRAP" in told["run"], (told, errors)
    return told, errors


def blocks(text):
    """The answer of `fiber apply`, by the fiber's label."""
    parts = re.split(r"^Fiber (\d+(?: '.*?')?) (.*):\n", text, flags=re.M)
    return {label: (state, trace) for label, state, trace in zip(*[iter(parts[1:])] * 3)}


class Live(unittest.TestCase):
    def test_all_fibers_are_listed_with_what_they_wait_for_and_where(self):
        told, _ = live("info fibers")
        lines = told["info fibers"].splitlines()
        self.assertEqual(len(lines), FEW + 1, told)
        runs = [l for l in lines if " runs," in l]
        self.assertEqual(len(runs), 1)
        self.assertRegex(runs[0], r"^\* \d+  runs, in .*\(parked.cpp:\d+\)")
        for i in range(FEW):
            line, = [l for l in lines if f"'consumer {i}'" in l]
            what = "lock mutex" if i % 10 == 3 else "receive from channel"
            self.assertRegex(line, rf"^  \d+ 'consumer {i}'  waits to {what} 0x[0-9a-f]+ for "
                                   rf"0\.\d\d s, in consume.* \(parked.cpp:\d+\), started by ")

    def test_a_selected_fiber_has_frames_and_variables(self):
        told, _ = live("python gdb.execute(f\"fiber {process().fibers[4].number}\")",
                       "bt", "print mine", "up", "info locals", "fiber", "fiber none", "bt 1")
        number = int(re.search(r"= (\d+)", told["print mine"])[1])
        self.assertIn(f"'consumer {number}' waits to", told["fiber"])
        trace = told["bt"].splitlines()
        self.assertRegex(trace[0], r"^#\d+ .*heddle::(mutex::lock|channel<int>::receive)")
        self.assertTrue(re.search(r"consume.* at .*parked.cpp:\d+", told["bt"]), trace)
        nested = [l for l in trace if re.search(r"\bnested ?\(", l)]
        self.assertEqual(len(nested), number % 3 + 1, trace)
        self.assertIn("nested", told["up"])
        self.assertRegex(told["bt 1"], r"^#0 ")
        self.assertNotIn("consume", told["bt 1"])

    def test_a_running_fiber_is_selected_where_it_runs(self):
        told, _ = live("thread 1", "fiber 1", "bt")
        self.assertIn("stop_here", told["bt"])
        self.assertRegex(told["fiber 1"], r"^Fiber 1 runs\.|^\[Switching")

    def test_a_fiber_that_does_not_run_is_not_made_to_return(self):
        told, errors = live("python gdb.execute(f\"fiber {process().fibers[4].number}\")", "return",
                            "jump 1", "continue")
        self.assertEqual(errors.count("`fiber none` first"), 2, errors)
        self.assertIn("all ended", told["continue"])

    def test_what_was_looked_at_goes_on(self):
        told, _ = live("fiber apply all bt", "info fibers",
                       "python gdb.execute(f\"fiber {process().fibers[4].number}\")", "continue")
        self.assertIn("all ended", told["continue"])
        self.assertIn("exited normally", told["continue"])

    def test_some_fibers_are_asked(self):
        told, _ = live("info fibers", "fiber apply 1 2-4096 bt 1", "fiber apply all print mine")
        listed = [int(n) for n in re.findall(r"^[* ] (\d+)  ?'?", told["info fibers"], flags=re.M)]
        some = blocks(told["fiber apply 1 2-4096 bt 1"])
        self.assertEqual(len(some), len([n for n in listed if n <= 4096]))
        numbers = re.findall(r"^\$\d+ = (\d+)", told["fiber apply all print mine"], flags=re.M)
        self.assertEqual(sorted(map(int, numbers)), list(range(FEW)))

    def test_things_are_printed_by_what_they_hold(self):
        told, _ = live("fiber 1", "print j.door", "print j.inbox", "print j.results", "print first",
                       "print first.get_id()", "print heddle::fiber{}")
        waiting = FEW // 10 + (FEW % 10 > 3)
        self.assertRegex(told["print j.door"], rf"= locked by fiber 1, {waiting} waiting")
        self.assertRegex(told["print j.inbox"],
                         rf"= unbuffered channel, {FEW - waiting} receiving$")
        self.assertRegex(told["print j.results"], r"= channel of 2 of 4 = \{\"one\", \"two\"\}")
        self.assertRegex(told["print first"],
                         r"= fiber \d+ 'consumer 0', which waits to receive from channel 0x")

    def test_bad_input_is_answered(self):
        wrong = {"fiber 999999": "There is no fiber 999999", "fiber x": "by its number, not \"x\"",
                 "fiber apply all": "Which fibers, and what?", "fiber apply 1": "Which fibers",
                 "fiber apply x bt": "Which fibers", "info fibers 3": "takes no arguments"}
        told, errors = live(*wrong)
        for each, answer in wrong.items():
            self.assertIn(answer, errors)
        for each in ("info fibers", "fiber", "fiber 1", "fiber apply all bt"):
            _, errors = gdb(each)
            self.assertIn("The program is not running", errors, each)
            _, errors = gdb("starti", each, program="/bin/true")
            self.assertIn("There is no heddle in this program", errors)

    def test_before_main_and_at_its_end_there_are_none(self):
        answers, errors = gdb("break main", "run", "info fibers", arguments=(1, "stop"))
        self.assertEqual(dict(answers)["info fibers"], "No fibers.\n", errors)


class Whole(unittest.TestCase):
    """1,000 fibers, every one's backtrace."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, told, frame=r"\bconsume ?\("):
        traces = blocks(told["fiber apply all bt"])
        self.assertEqual(len(traces), MANY + 1)
        for label, (state, trace) in traces.items():
            if label == "1":
                continue
            number = int(re.search(r"consumer (\d+)", label)[1])
            self.assertIn("to lock mutex" if number % 10 == 3 else "to receive from channel", state)
            self.assertRegex(trace, frame, label)
            self.assertEqual(len(re.findall(r"\bnested ?\(", trace)), number % 3 + 1, trace)

    def test_in_a_live_process(self):
        told, _ = live("fiber apply all bt", count=MANY)
        self.check(told)

    def test_in_a_core_file(self):
        answers, _ = gdb("fiber apply all bt", core=core_file.of(PROGRAM, MANY, "abort", self.folder))
        self.check(dict(answers))

    def test_in_a_core_file_of_a_crash(self):
        answers, _ = gdb("fiber apply all bt", core=core_file.of(PROGRAM, MANY, "crash", self.folder))
        self.check(dict(answers))

    def test_in_a_core_file_without_debug_information(self):
        core = core_file.of(PROGRAM, MANY, "abort", self.folder)
        bare = self.folder / "parked"
        subprocess.run(["strip", "--strip-debug", "-o", bare, PROGRAM], check=True)
        answers, _ = gdb("fiber apply all bt", program=str(bare), core=core)
        self.check(dict(answers))

    def test_in_a_core_file_that_gdb_wrote(self):
        core = self.folder / "core"
        answers, errors = gdb("run", f"gcore {core}", arguments=(MANY, "whole"))
        self.assertTrue(core.exists(), (answers, errors))
        answers, _ = gdb("fiber apply all bt", core=core)
        self.check(dict(answers))


if shutil.which("strip") is None:
    del Whole.test_in_a_core_file_without_debug_information
os.environ.pop("HEDDLE_WORKERS", None)
unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
