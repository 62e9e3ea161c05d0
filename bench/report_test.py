#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSL-1.0
# report_test: the arithmetic of the report, and the lists of its cases. Runs no benchmark and needs
# no matplotlib.
import json
import pathlib
import re
import unittest

import cases
import figures
import page
import report


def results_of(**by_case):
    """results_of(case=[{counter: value}, a round each])."""
    results = figures.Results()
    for case, rounds in by_case.items():
        for counters in rounds:
            results.add(case, counters)
    return results


def target(**kind):
    given = {"row": 2, "what": "work", "case": "ours", "counter": "ns", "unit": "ns", "goal": 40.0}
    return cases.Target(**{**given, **kind})


JUMP = ("jump", "ns", (4.0, 4.0))


class Spreads(unittest.TestCase):
    def test_median_of_an_even_number_is_the_mean_of_the_middle_two(self):
        self.assertEqual(figures.spread([4, 1, 3, 100]), figures.Spread(3.5, 1, 100))

    def test_one_outlier_does_not_move_the_median(self):
        self.assertEqual(figures.spread([5, 5, 6, 5, 900]).median, 5)

    def test_nothing_measured_is_none(self):
        self.assertIsNone(figures.spread([]))
        self.assertIsNone(figures.Results().median("x", "ns"))


class Ratios(unittest.TestCase):
    def test_ratio_needs_both(self):
        self.assertEqual(figures.ratio(6, 4), 1.5)
        for pair in ((None, 4), (6, None), (6, 0)):
            self.assertIsNone(figures.ratio(*pair))

    def test_a_small_ratio_reads_as_a_fraction(self):
        self.assertEqual(figures.ratio_text(0.004), "1/250")
        self.assertEqual(figures.ratio_text(1.7), "1.70")
        self.assertEqual(figures.ratio_text(0.99), "0.99")
        self.assertEqual(figures.ratio_text(None), "-")

    def test_three_digits(self):
        for number, text in ((4.4, "4.40"), (44.44, "44.4"), (9.999, "10.0"), (99.96, "100"),
                             (12345.6, "12,346"), (0.02, "0.02"), (0.0012, "0.0012"), (0, "0"),
                             (None, "-")):
            self.assertEqual(figures.significant(number), text)


class Scaling(unittest.TestCase):
    def test_a_machine_twice_as_slow_may_take_twice_as_long(self):
        self.assertEqual(figures.scaled(40, figures.scale(14.2, (7.1, 7.1))), 80)

    def test_a_faster_machine_must_be_faster(self):
        self.assertEqual(figures.scaled(40, figures.scale(3.55, (7.1, 7.1))), 20)

    def test_within_a_floor_given_as_a_range_nothing_scales(self):
        self.assertEqual(figures.scale(2000, (1400, 2900)), 1)
        self.assertEqual(figures.scale(5800, (1400, 2900)), 2)
        self.assertEqual(figures.scale(700, (1400, 2900)), 0.5)

    def test_a_second_of_sleep_stays_a_second(self):
        self.assertEqual(figures.scaled(4, 2, fixed=1), 7)

    def test_no_floor_no_scale(self):
        self.assertIsNone(figures.scale(None, (1, 1)))


class Neighbours(unittest.TestCase):
    def test_what_is_neither_idle_nor_ours_is_the_others(self):
        before = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        after = [300, 0, 100, 500, 100, 0, 0, 0, 0, 0]
        self.assertAlmostEqual(figures.busy_share(before, after, 3.0, 100), 0.1)

    def test_rounding_never_makes_it_negative(self):
        self.assertEqual(figures.busy_share([0] * 8, [10, 0, 0, 90, 0, 0, 0, 0], 0.2, 100), 0)
        self.assertEqual(figures.busy_share([0] * 8, [0] * 8, 0, 100), 0)


class Verdicts(unittest.TestCase):
    def judge(self, wanted, **measured):
        return figures.judge(wanted, results_of(**measured), JUMP)

    def test_scaled_by_its_own_floor(self):
        wanted = target(floor=("floor", "ns", (7.0, 7.0)))
        for ours, text in ((60, "met"), (80, "met"), (81, "MISSED")):
            verdict = self.judge(wanted, ours=[{"ns": ours}], floor=[{"ns": 14}])
            self.assertEqual((verdict.goal_here, verdict.text.split(" ")[0]), (80, text))

    def test_a_row_without_a_floor_takes_the_raw_jump_and_says_so(self):
        verdict = self.judge(target(), ours=[{"ns": 39}], jump=[{"ns": 2}])
        self.assertEqual((verdict.goal_here, verdict.by_jump), (20, True))
        self.assertEqual(verdict.text, "MISSED (as given: met)")

    def test_a_multiple_of_another_case_of_the_same_run(self):
        wanted = target(goal=2.0, times=("jump", "ns"))
        verdict = self.judge(wanted, ours=[{"ns": 8}], jump=[{"ns": 4}])
        self.assertEqual((verdict.goal_here, verdict.text), (8, "met"))

    def test_a_rate_must_be_at_least_and_does_not_scale(self):
        wanted = target(goal=60, at_most=False, scales=False)
        for ours, text in ((60, "met"), (59, "MISSED")):
            self.assertEqual(self.judge(wanted, ours=[{"ns": ours}], jump=[{"ns": 99}]).text, text)

    def test_what_was_not_measured_has_no_verdict(self):
        self.assertEqual(self.judge(target(), jump=[{"ns": 4}]).text, "not run")
        self.assertEqual(self.judge(target(), ours=[{"ns": 4}]).text, "no floor")
        results = results_of(jump=[{"ns": 4}])
        results.failed["ours"] = "died by SIGSEGV"
        self.assertEqual(figures.judge(target(), results, JUMP).text, "FAILED")

    def test_the_median_decides(self):
        wanted = target(scales=False)
        rounds = [{"ns": x} for x in (30, 39, 400)]
        self.assertEqual(self.judge(wanted, ours=rounds).text, "met")


class Parsing(unittest.TestCase):
    CASE = "switch/call/n:50000"
    ENTRY = {"name": CASE + "/manual_time", "iterations": 7, "real_time": 1.0, "cpu_time": 1.0,
             "time_unit": "ns", "ns": 1.5, "threads": 1}

    def text(self, **more):
        return json.dumps({"context": {"date": "d"}, "benchmarks": [{**self.ENTRY, **more}]})

    def test_names_lose_what_google_benchmark_appends(self):
        for tail in ("", "/manual_time", "/iterations:1/manual_time"):
            self.assertEqual(figures.case_of("a/b/n:10" + tail), "a/b/n:10")

    def test_only_our_own_counters_are_kept(self):
        self.assertEqual(report.parse(self.CASE, self.text())[0], {"ns": 1.5})

    def test_an_error_of_the_benchmark_is_its_message(self):
        with self.assertRaisesRegex(RuntimeError, "needs 2 cores"):
            report.parse(self.CASE, self.text(error_occurred=True, error_message="needs 2 cores"))

    def test_a_name_that_the_program_lacks(self):
        for text in ("", self.text(name="switch/other")):
            with self.assertRaisesRegex(RuntimeError, "no such benchmark"):
                report.parse(self.CASE, text)


class Tables(unittest.TestCase):
    def test_columns_line_up(self):
        table = page.text_table(["a", "ns"], [["long name", "1"], ["b", "1,000"]])
        self.assertEqual(table.splitlines(),
                         ["a             ns", "----------------", "long name      1",
                          "b          1,000"])

    def test_a_hand_off_is_half_a_round_trip(self):
        line = next(s for s in cases.SWITCHES if s.share == 0.5)
        results = results_of(**{line.case: [{"ns": 90.0}]})
        row = next(s for at, s, _ in page.switch_rows(results)[0] if at == line)
        self.assertEqual(row.median, 45)

    def test_a_thread_that_only_spins_is_not_the_best_switch(self):
        one, two = [s.case for s in cases.SWITCHES if "sched_yield" in s.case]
        results = results_of(**{one: [{"ns": 500.0, "switched": 1.0}],
                                two: [{"ns": 90.0, "switched": 0.001}]})
        self.assertEqual(page.switch_rows(results)[1], 500)

    def test_every_line_has_a_text_when_nothing_ran(self):
        empty = figures.Results()
        for _, row in page.switch_cells(empty):
            self.assertEqual(len(row), len(page.SWITCH_HEAD))
        for _, _, row in page.target_cells(empty, cases.TARGETS):
            self.assertEqual(len(row), len(page.TARGET_HEAD))
        self.assertIn("missing", page.lead(empty))

    def test_what_a_message_says_is_no_markup(self):
        self.assertIn("&lt;b&gt;", page.html_table(["a"], [["<b>"]], [""]))


class Cases(unittest.TestCase):
    def test_every_program_has_a_source(self):
        here = pathlib.Path(__file__).resolve().parent
        for case in cases.all_cases() + cases.SMOKE:
            self.assertTrue((here / f"{cases.program_of(case)}.cpp").exists(), case)

    def test_a_smoke_run_meets_every_program(self):
        ran = {cases.program_of(case) for case in cases.SMOKE}
        self.assertEqual({cases.program_of(case) for case in cases.all_cases()}, ran)

    def test_every_target_has_its_case_and_its_floor_in_the_run(self):
        run = set(cases.all_cases())
        for t in cases.TARGETS:
            for source in (t, *[s for s in (t.threads, t.floor, t.times) if s]):
                self.assertIn(source.case if source is t else source[0], run)

    def test_what_has_a_least_does_not_scale(self):
        self.assertFalse([t.what for t in cases.TARGETS if not t.at_most and t.scales])

    def test_all_rows_of_the_issue_are_there(self):
        self.assertEqual({t.row for t in cases.TARGETS},
                         {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15})

    def test_names_are_well_formed(self):
        for case in cases.all_cases() + cases.SMOKE:
            self.assertTrue(re.fullmatch(r"\w+/\w+(/\w+:\d+)*", case), case)


if __name__ == "__main__":
    unittest.main()
