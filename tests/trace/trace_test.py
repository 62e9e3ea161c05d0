#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# trace_test: whether a trace is one that Perfetto takes, and tells what happened.
#   trace_test.py PROGRAM      PROGRAM is traced
import collections
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = sys.argv[1]
PATIENCE_S = 500
FIBERS, WORKERS = 1, 2
# Times have three digits after the point.
SLACK_US = 0.002


def run(*arguments, **environment):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          timeout=PATIENCE_S, env={**os.environ, **environment})


class Trace:
    """A trace that has been checked for what every one must hold."""

    def __init__(self, test, path):
        with open(path, encoding="utf-8") as file:
            self.events = json.load(file)["traceEvents"]
        self.tracks = collections.defaultdict(list)
        self.names, flows = {}, collections.defaultdict(dict)
        for each in self.events:
            track = (each["pid"], each["tid"])
            test.assertIn(each["ph"], "XMsf")
            test.assertGreaterEqual(each["ts"], 0)
            if each["ph"] == "X":
                test.assertGreaterEqual(each["dur"], 0)
                self.tracks[track].append(each)
            elif each["ph"] == "M":
                self.names[track, each["name"]] = each["args"]["name"]
            else:
                test.assertNotIn(each["ph"], flows[each["id"]])
                flows[each["id"]][each["ph"]] = each
        for track, slices in self.tracks.items():
            test.assertIn((track, "thread_name"), self.names)
            slices.sort(key=lambda e: (e["ts"], e["ts"] + e["dur"]))
            for a, b in zip(slices, slices[1:]):
                test.assertLessEqual(a["ts"] + a["dur"], b["ts"] + SLACK_US, (track, a, b))
        for number, flow in flows.items():
            test.assertEqual(set(flow), {"s", "f"}, number)
            test.assertLessEqual(flow["s"]["ts"], flow["f"]["ts"] + SLACK_US)
            test.assertEqual(flow["f"]["bp"], "e")
            end = flow["f"]
            test.assertTrue(any(s["name"] == "runs" and abs(s["ts"] - end["ts"]) <= SLACK_US
                                for s in self.tracks[end["pid"], end["tid"]]), flow)
        self.flows = list(flows.values())
        test.assertEqual(self.names[(FIBERS, 0), "process_name"], "fibers")
        test.assertEqual(self.names[(WORKERS, 0), "process_name"], "workers")

    def slices(self, pid, name):
        return [s for (p, _), all_of in self.tracks.items() if p == pid for s in all_of
                if s["name"] == name]

    def fiber(self, part):
        return [track[1] for (track, kind), name in self.names.items()
                if track[0] == FIBERS and kind == "thread_name" and part in name]


class Traces(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "trace.json"

    def check(self, trace):
        pong, = trace.fiber("pong \"\\\n\u00e9")
        name = trace.names[(FIBERS, pong), "thread_name"]
        self.assertIn("started by ", name)
        waits = [s for s in trace.tracks[FIBERS, pong]
                 if s["name"] == "waits to receive from channel"]
        self.assertTrue(all(s["args"]["what"].startswith("0x") for s in waits))
        # The other one sleeps five times for a millisecond. (A busy machine may keep this one from
        # the processor meanwhile; and where both run at once, it may always be the other one who
        # comes first, and waits.)
        self.assertGreaterEqual(max(s["dur"] for s in waits), 900)
        # Ten fibers are one at a time in a lock, each for half a millisecond. (Where the second
        # worker comes late, others have been through by then.)
        locks = trace.slices(FIBERS, "waits to lock mutex")
        self.assertGreaterEqual(len(locks), 5)
        self.assertGreaterEqual(max(s["dur"] for s in locks), 2000)
        self.assertGreaterEqual(len(trace.slices(FIBERS, "waits in sleep_for or sleep_until")), 14)
        long_runs = [s for s in trace.slices(FIBERS, "runs") if s["dur"] >= 100]
        self.assertGreaterEqual(len(long_runs), 10)
        self.assertTrue(all(s["args"]["what"].startswith("worker ")
                            for s in trace.slices(FIBERS, "runs")))
        # Who woke: the partner; a thread of nobody's once.
        partners = [f for f in trace.flows if f["f"]["tid"] == pong and f["s"]["pid"] == FIBERS]
        self.assertGreaterEqual(len(partners), 1)
        others = {f["s"]["tid"] for f in trace.flows if f["s"]["pid"] == WORKERS}
        self.assertIn("other threads",
                      {trace.names[(WORKERS, tid), "thread_name"] for tid in others})
        # What the workers' tracks say is what the fibers' say.
        ran = sum(s["dur"] for s in trace.slices(FIBERS, "runs"))
        at_work = sum(s["dur"] for (p, _), all_of in trace.tracks.items() if p == WORKERS
                      for s in all_of)
        self.assertAlmostEqual(ran, at_work, delta=max(at_work / 20, 100))

    def test_of_a_part(self):
        done = run(self.file)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check(Trace(self, self.file))
        Trace(self, f"{self.file}.first")

    def test_of_all_by_the_environment(self):
        done = run(HEDDLE_TRACE=str(self.file))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check(Trace(self, self.file))

    def test_begun_and_ended_while_everything_runs(self):
        for _ in range(5):
            done = run("churn", 30, self.file)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            Trace(self, self.file)

    def test_a_wake_is_told_when_it_happens(self):
        done = run("late", self.file)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        trace = Trace(self, self.file)
        # It was there before the trace began; of its name what is no character is a question mark.
        late, = trace.fiber("'late ??? ?? ???? and more than 16', started by ")
        slices = [s["name"] for s in trace.tracks[FIBERS, late]]
        self.assertEqual(slices[-2:], ["runs", "waits for event"], trace.tracks[FIBERS, late])
        self.assertGreaterEqual(trace.tracks[FIBERS, late][-1]["dur"], 40_000)
        self.assertEqual([f["f"]["tid"] for f in trace.flows], [late])

    def test_what_is_refused_is_told(self):
        done = run("errors")
        self.assertEqual(done.returncode, 0)
        told = done.stdout.splitlines()
        self.assertEqual(len(told), 4, told)
        self.assertIn("/nonexistent/trace.json", told[0])
        self.assertIn("No such file", told[0])
        self.assertIn("a trace is on already, to /dev/full", told[1])
        self.assertIn("could not be written: /dev/full", told[2])
        self.assertIn("No space left", told[2])
        self.assertEqual(told[3], "nothing")
        done = run(HEDDLE_TRACE="/nonexistent/trace.json")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("HEDDLE_TRACE is /nonexistent/trace.json: No such file", done.stderr)


os.environ.pop("HEDDLE_TRACE", None)
unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
