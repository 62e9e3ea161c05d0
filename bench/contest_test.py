#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# contest_test: who is asked for what beside heddle, who leads a row, and what the page says of it.
# Runs no benchmark and needs no matplotlib.
import unittest

import cases
import contest
import contest_page
import figures
import report

RIVALS = [r for r in contest.RIVALS if not r.record]


def target(**kind):
    given = {"row": 3, "what": "work", "case": "work/heddle/w:1/n:5", "counter": "ns", "unit": "ns",
             "goal": 90.0, "threads": ("work/thread/w:1/n:5", "ns"), "scales": False}
    return cases.Target(**{**given, **kind})


def results(**medians):
    found = figures.Results()
    for word, value in medians.items():
        found.add(f"work/{word}/w:1/n:5", {"ns": value})
    return found


class Asked(unittest.TestCase):
    def test_a_rival_gets_the_case_under_its_own_name(self):
        self.assertEqual(contest.case_for("switch/heddle_yield/w:1/n:50000", "go"),
                         "switch/go/w:1/n:50000")

    def test_nobody_is_asked_about_heddle_itself(self):
        self.assertIsNone(contest.case_for("switch/heddle_yield_after_float/w:1/n:5", "go"))

    def test_a_case_belongs_to_the_program_of_its_second_word(self):
        self.assertEqual(contest.rival_of("fib/tokio/w:1/n:30").name, "tokio")
        self.assertIsNone(contest.rival_of("fib/heddle/w:1/n:30"))
        self.assertIsNone(contest.rival_of("wake_latency/futex/every_us:5/n:10000"))

    def test_every_target_is_asked_for_and_no_case_twice(self):
        wanted = contest.wanted(contest.RIVALS)
        self.assertEqual(len(wanted), len(set(wanted)))
        for each in cases.TARGETS:
            self.assertIn(each.case, wanted)

    def test_without_a_rival_nothing_is_asked_of_it(self):
        self.assertFalse([c for c in contest.wanted([]) if contest.rival_of(c) is not None])


class Decided(unittest.TestCase):
    def test_the_best_stackful_rival_counts_and_no_stackless_one(self):
        found = results(heddle=70, go=200, boost_fiber=150, tokio=10)
        row = contest.decide(target(), found, RIVALS)
        self.assertEqual((row.best, row.ahead), ("boost_fiber", True))
        self.assertEqual(set(row.others), {"go", "boost_fiber", "tokio"})

    def test_who_is_slower_is_behind(self):
        row = contest.decide(target(), results(heddle=201, go=200), RIVALS)
        self.assertFalse(row.ahead)
        self.assertIn("**no**", contest_page.verdict_cells(row))

    def test_more_is_better_where_the_target_says_at_least(self):
        row = contest.decide(target(at_most=False), results(heddle=70, go=60, boost_fiber=20),
                             RIVALS)
        self.assertEqual((row.best, row.ahead), ("go", True))

    def test_threads_are_a_rival_where_they_do_the_same_size(self):
        found = results(heddle=70, thread=60)
        self.assertEqual(contest.decide(target(), found, RIVALS).best, "thread")
        smaller = target(threads=("work/thread/w:1/n:1", "ns"))
        found.add("work/thread/w:1/n:1", {"ns": 60.0})
        row = contest.decide(smaller, found, RIVALS)
        self.assertIsNone(row.best)
        self.assertIn("†", " ".join(contest_page.all_cells(row, ["thread"])))

    def test_nobody_to_compare_with_is_no_lead(self):
        row = contest.decide(target(threads=None), results(heddle=70), RIVALS)
        self.assertIsNone(row.ahead)

    def test_rows_of_whole_pages_are_exempt(self):
        self.assertFalse(contest.must_lead(target(row=10)))
        self.assertFalse(contest.must_lead(target(row=5, counter="peak_mib")))
        self.assertTrue(contest.must_lead(target(row=5)))
        self.assertTrue(contest.must_lead(target(row=9, what="sleepers, 100,000, w=1")))
        self.assertFalse(contest.must_lead(target(row=9, what="sleepers, 1,000,000, w=1")))


class Told(unittest.TestCase):
    def test_the_summary_names_who_is_ahead_and_what_is_missed(self):
        rows = [contest.decide(target(), results(heddle=100, go=99), RIVALS)]
        text = contest_page.summary(rows)
        self.assertIn("0 of 1 targets are met", text)
        self.assertIn("Behind: work (Go)", text)
        self.assertIn("Targets missed: work", text)

    def test_a_table_has_a_cell_for_each_column(self):
        text = contest_page.table(["a", "b"], [["1", "2"]])
        self.assertEqual(text, "| a | b |\n| --- | ---: |\n| 1 | 2 |")

    def test_what_failed_and_who_is_absent_is_named(self):
        found = {"about": {"go": "Go 1.19", "tokio": None}, "seed": 1, "rounds": 3, "took_s": 9,
                 "machine": {"processor": "one"}, "failed": {"fib/go/w:1/n:30": "hung"},
                 "skipped": {}}
        text = contest_page.method(found, ["tokio (librust-tokio-dev)"])
        for part in ("Go 1.19", "tokio (librust-tokio-dev)", "- go: hung: fib/w:1/n:30"):
            self.assertIn(part, text)


class Figures(unittest.TestCase):
    def test_a_rivals_figures_are_numbers_by_name(self):
        self.assertEqual(report.parse_rival('{"ns": 3, "seconds": 0.5}'),
                         {"ns": 3.0, "seconds": 0.5})

    def test_what_is_no_such_thing_is_an_error(self):
        for text in ("", "ns 3", "[1]", '{"ns": "fast"}', '{"ns": null}'):
            with self.assertRaises(RuntimeError):
                report.parse_rival(text)


if __name__ == "__main__":
    unittest.main()
