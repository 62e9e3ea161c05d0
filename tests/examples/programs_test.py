#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs the small examples and checks what they print, with 1, 2 and 8 workers. Times are printed,
# but nothing here depends on them, save that the rate limiter must not be too fast.
import re
import unittest

import program

ALL = ("hello", "ping_pong", "prime_sieve", "worker_pool", "parallel_sum", "word_count",
       "dining_philosophers", "bounded_buffer", "pipeline", "rate_limiter", "first_answer_wins",
       "readers_and_writers", "chat_hub")


def primes_below(limit):
    is_prime = bytearray([1]) * limit
    for n in range(2, limit):
        if is_prime[n]:
            yield n
            is_prime[2 * n::n] = bytes(len(range(2 * n, limit, n)))


class Programs(unittest.TestCase):
    def output(self, name, *arguments, workers):
        done = program.run(name, *arguments, workers=workers)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode()

    def refuses(self, name, *arguments):
        with self.subTest(name=name, arguments=arguments):
            done = program.run(name, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, b""))
            self.assertIn(name.encode() + b": ", done.stderr)
            self.assertIn(b"'" + arguments[-1].encode() + b"'", done.stderr)
            self.assertIn(b"usage: " + name.encode(), done.stderr)

    # ---- what all have in common

    def test_help_is_answered(self):
        for name in ALL:
            with self.subTest(name=name):
                done = program.run(name, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertTrue(done.stdout.startswith(b"usage: " + name.encode()), done.stdout)

    def test_unknown_arguments_are_refused(self):
        for name in ALL:
            self.refuses(name, "--nonsense")
            self.refuses(name, "-x")

    def test_a_wrong_number_is_refused(self):
        for name in ("ping_pong", "prime_sieve", "parallel_sum"):
            for number in ("", " 1", "-1", "1x", "1.5", "99999999999999999999"):
                self.refuses(name, number)
            self.refuses(name, "10", "20")
        self.refuses("ping_pong", "0")
        self.refuses("prime_sieve", "0")
        for number in ("", "-1", "ten"):
            self.refuses("word_count", ".", "--top", number)

    def test_output_that_cannot_be_written_is_a_failure(self):
        for name in ALL:
            arguments = {"ping_pong": ["5"], "parallel_sum": ["5"], "word_count": ["/dev/null"]}
            with self.subTest(name=name), open("/dev/full", "wb") as full:
                done = program.run(name, *arguments.get(name, []), stdout=full)
                self.assertEqual(done.returncode, 1)

    # ---- one by one

    def test_hello(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertEqual(self.output("hello", workers=workers),
                                 "hello from the fiber 'greeter'\nand hello from main\n")

    def test_ping_pong(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                for rounds in (1, 1000):
                    self.assertRegex(self.output("ping_pong", str(rounds), workers=workers),
                                     rf"\A{2 * rounds} hits, \d+ ns each\n\Z")
        self.assertRegex(self.output("ping_pong", workers=2), r"\A200000 hits, ")

    def test_prime_sieve(self):
        for workers in program.WORLDS:
            for arguments, limit in (([], 100), (["1"], 3), (["400"], 2742)):
                with self.subTest(workers=workers, arguments=arguments):
                    self.assertEqual(self.output("prime_sieve", *arguments, workers=workers),
                                     "".join(f"{n}\n" for n in primes_below(limit)))

    def test_worker_pool(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertRegex(self.output("worker_pool", workers=workers),
                                 r"\Aone request: 100, after \d+ ms\n"
                                 r"ten requests by ten threads: 385, after \d+ ms\n"
                                 r"ten requests by ten fibers: 385, after \d+ ms\n\Z")

    def test_parallel_sum(self):
        # Below 1000 most of its blocks are empty.
        for limit in (0, 1, 2, 3, 4, 1000, 54321):
            total = sum(primes_below(limit))
            for workers in program.WORLDS:
                with self.subTest(workers=workers):
                    self.assertRegex(self.output("parallel_sum", str(limit), workers=workers),
                                     rf"\Aworkers 1: sum {total}, \d+ ms\n"
                                     rf"workers {workers}: sum {total}, \d+ ms\n"
                                     r"all workers were [\d.e+-]+ times as fast as one\n\Z")

    def test_dining_philosophers(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertEqual(self.output("dining_philosophers", workers=workers),
                                 "1000 philosophers ate 20000 meals\n"
                                 "meals while a neighbour ate: 0\n")

    def test_bounded_buffer(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertRegex(self.output("bounded_buffer", workers=workers),
                                 r"\A4 producers put 20000 items\n"
                                 rf"3 consumers took 20000, in sum {sum(range(1, 20001))}\n"
                                 r"at most [1-8] lay in the buffer\n\Z")

    def test_pipeline(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                output = self.output("pipeline", workers=workers)
                self.assertRegex(output, r"\A\d+ items came through\n"
                                         r"0 stages and 0 items are left behind\n\Z")
                self.assertGreaterEqual(int(output.split()[0]), 1000)

    def test_rate_limiter(self):
        # How slow it may be depends on the machine; too fast it may never be.
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                output = self.output("rate_limiter", workers=workers)
                match = re.fullmatch(r"40 requests in (\d+) ms: (\d+) a second, of at most 100\n",
                                     output)
                self.assertTrue(match, output)
                self.assertGreaterEqual(int(match[1]), 400)
                self.assertEqual(int(match[2]), 40000 // int(match[1]))

    def test_first_answer_wins(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertEqual(self.output("first_answer_wins", workers=workers),
                                 "the answer of the replica nearby\n"
                                 "  far away: not needed\n"
                                 "  nearby: answered\n"
                                 "  overloaded: not needed\n"
                                 "no answer\n"
                                 "  far away: too slow\n"
                                 "  nearby: too slow\n"
                                 "  overloaded: too slow\n")

    def test_readers_and_writers(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                output = self.output("readers_and_writers", workers=workers)
                match = re.fullmatch(r"4 writers made 400 transfers\n16 readers looked (\d+) times, "
                                     r"up to (\d+) of them together\nsums that were wrong: 0\n",
                                     output)
                self.assertTrue(match, output)
                self.assertGreaterEqual(int(match[1]), 16)
                self.assertIn(int(match[2]), range(2, 17))

    def test_chat_hub(self):
        for workers in program.WORLDS:
            with self.subTest(workers=workers):
                self.assertEqual(self.output("chat_hub", workers=workers),
                                 "ann heard 300 of 300 lines\n"
                                 "bob heard 300 of 300 lines\n"
                                 "cat heard 300 of 300 lines\n"
                                 "dozy heard 10 of 300 lines\n"
                                 "all in the order in which they were said\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
