#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# watermark_test: the table that HEDDLE_STACK_WATERMARK prints.
#   watermark_test.py PROGRAM      PROGRAM is measured
import os
import re
import subprocess
import sys
import unittest

PROGRAM = sys.argv[1]


def run(value):
    environment = {**os.environ, "HEDDLE_STACK_WATERMARK": value}
    return subprocess.run([PROGRAM], capture_output=True, text=True, timeout=100, env=environment)


def kib(text):
    return float(text.removesuffix("KiB"))


class Watermark(unittest.TestCase):
    def table(self):
        done = run("1")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], "heddle: how deep stacks were used (HEDDLE_STACK_WATERMARK):")
        rows = {}
        for line in lines[2:]:
            row = re.match(r" *([\d.]+ KiB) +([\d.]+ KiB) +([\d.]+ KiB) +(\d+)  (.*)", line)
            self.assertIsNotNone(row, line)
            site = re.search(r"start_\w+|main", row[5])
            rows[site[0] if site else row[5], row[2]] = row
        return rows, done.stderr

    def test_each_site_has_the_deepest_of_its_fibers(self):
        rows, text = self.table()
        deep = rows["start_deep", "256 KiB"]
        self.assertEqual(deep[4], "100", text)
        self.assertTrue(100 <= kib(deep[1]) <= 104, text)
        self.assertTrue(200 <= kib(deep[3]) <= 208, text)
        # On the stacks of the deep ones, and not taken for as deep.
        shallow = rows["start_shallow", "256 KiB"]
        self.assertEqual(shallow[4], "500", text)
        self.assertLess(kib(shallow[1]), 8, text)
        self.assertEqual(shallow[3], "16 KiB", text)
        waiting = rows["start_waiting", "256 KiB"]
        self.assertEqual(waiting[4], "1", text)
        self.assertTrue(50 <= kib(waiting[1]) <= 54, text)
        small = [row for (_, size), row in rows.items() if size == "64 KiB"]
        self.assertEqual(len(small), 1, text)
        self.assertTrue(10 <= kib(small[0][1]) <= 14, text)

    def test_nothing_is_told_unasked(self):
        for value in ("", "0"):
            done = run(value)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_is_no_answer_is_refused(self):
        done = run("yes")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("HEDDLE_STACK_WATERMARK is 'yes'; it must be 0 or 1", done.stderr)


os.environ.pop("HEDDLE_WORKERS", None)
os.environ.pop("HEDDLE_STACK_SIZE", None)
unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
