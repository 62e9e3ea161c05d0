#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# lldb_test: fibers as threads in lldb, in a live process and in a core file.
#   lldb_test.py LLDB SCRIPT PROGRAM      SCRIPT is heddle_lldb.py, PROGRAM is parked
# Exit status 77: this lldb has no Python.
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import core_file

LLDB, SCRIPT, PROGRAM = sys.argv[1:4]
FEW, MANY = 12, 1000


def lldb(*commands, core=None):
    line = [LLDB, "--no-lldbinit", "--batch", "--one-line-before-file",
            f"command script import {SCRIPT}"]
    for each in commands:
        line += ["--one-line", each]
    line += [PROGRAM] if core is None else [PROGRAM, "--core", core]
    run = subprocess.run(line, capture_output=True, text=True, timeout=core_file.PATIENCE_S,
                         stdin=subprocess.DEVNULL)
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout


def traces(text):
    """The backtraces of the fibers, by what their threads are called."""
    parts = re.split(r"^\*? +thread #\d+(?:, name = '(.*?)', (?:queue|stop).*)?\n", text,
                     flags=re.M)
    return {name: trace for name, trace in zip(parts[1::2], parts[2::2])
            if name and name.startswith("fiber ")}


class Fibers(unittest.TestCase):
    def check(self, text, count):
        found = traces(text)
        self.assertEqual(len(found), count, text[:5000])
        for name, trace in found.items():
            number = int(re.search(r"'consumer (\d+)'", name)[1])
            what = "lock mutex" if number % 10 == 3 else "receive from channel"
            self.assertIn(f" waits to {what} 0x", name)
            self.assertRegex(trace, r"`consume\(")
            # Calls are told of once for each function that is inlined there.
            self.assertGreaterEqual(len(re.findall(r"`nested\(", trace)), number % 3 + 1, trace)

    def test_in_a_live_process_that_then_goes_on(self):
        text = lldb("settings set target.disable-aslr false", f"run {FEW} stop", "bt all", "continue")
        self.check(text.split("(lldb) bt all")[1].split("(lldb) continue")[0], FEW)
        self.assertIn("all ended", text)
        self.assertIn("exited with status = 0", text)

    def test_in_a_core_file(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check(lldb("bt all", core=core_file.of(PROGRAM, MANY, "abort", folder)), MANY)


# Debian 12's lldb looks for its own modules where they are not; and for Python's beside the first
# python3 in the path, which may be another one.
os.environ["PATH"] = "/usr/bin:/bin"
for place in Path("/usr/lib").glob("llvm-*/lib/python3*/dist-packages/lldb/embedded_interpreter.py"):
    os.environ["PYTHONPATH"] = str(place.parent.parent)
probe = subprocess.run([LLDB, "--no-lldbinit", "--batch", "-o", "script print('it ' + 'works')"],
                       capture_output=True, text=True, timeout=core_file.PATIENCE_S)
if "it works" not in probe.stdout:
    print("this lldb has no Python:", probe.stderr[-300:])
    sys.exit(77)
os.environ.pop("HEDDLE_WORKERS", None)
unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
