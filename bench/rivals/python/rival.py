# SPDX-License-Identifier: BSL-1.0
# rival: what the programs of this folder share: the names of the cases and their arguments, how
# often a body runs, what /proc/self says of memory, and the figures as JSON. ../README.md is the
# contract. Exit status: 0; 1 if it failed; 2 for a wrong call; 3 for a case it cannot run.
import argparse
import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Callable

clock = time.perf_counter
cpu_seconds = time.process_time  # of the whole process, user and system


def main(rival, about, run, bodies):
    """The program of `rival`. `run(body, runs)` calls the body inside the runtime for as long as
    `runs` wants; `bodies` are the workloads, each named like its cases."""
    parser = argparse.ArgumentParser(description=f"Measures one case of {about}.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--about", action="version", version=about, help="what it is, in one line")
    parser.add_argument("case", metavar="CASE", help=f"such as switch/{rival}/w:1/n:50000")
    parser.add_argument("min_seconds", metavar="MIN_SECONDS", type=seconds,
                        help="measure again and again until these are spent")
    given = parser.parse_args()
    try:
        name, arguments = parse(given.case, rival)
        runs = Runs(WORKLOADS[name], given.min_seconds)
        by_name = {body.__name__: body for body in bodies}
        run(lambda: by_name[name](**arguments), runs)
        figures = runs.figures(arguments)
    except NoCase as error:
        parser.error(f"{given.case}: {error}")  # status 2
    except Cannot as error:
        print(error, file=sys.stderr)
        return 3
    except Exception as error:  # whatever a body met: the caller wants the case and the reason
        print(f"{parser.prog}: {given.case}: {error!r}", file=sys.stderr)
        return 1
    print(json.dumps(figures))
    return 0


class NoCase(Exception):
    """The name is that of no case, or its arguments are wrong."""


class Cannot(Exception):
    """What the case needs, and why it is not there."""


class WrongResult(Exception):
    """A body came to another result than it must."""


def check(what, got, expected):
    if got != expected:
        raise WrongResult(f"{what}: {got}, and not {expected}")


@dataclasses.dataclass(frozen=True)
class Workload:
    arguments: tuple             # beside `w`, which is 1
    operations: Callable = None  # how many a measurement makes, from its arguments; None: no `ns`
    times: int = None            # measured so often after the first; None: until time is up
    once: bool = False           # measured once, unwarmed; the body returns all its figures
    peak: bool = False           # with `peak_mib`
    two_workers: bool = False    # makes no sense with one


def power_of_ten(n):
    return n if re.fullmatch("10*", str(n)) else 0


WORKLOADS = {
    "switch": Workload(("n",), lambda n: n // 2 * 2),
    "yield_many": Workload(("n", "yields"), lambda n, yields: n * yields),
    "chan_pingpong": Workload(("n",), lambda n: n),
    "chan_buffered": Workload(("ends", "n"), lambda ends, n: n // ends * ends),
    "select": Workload(("over", "n"), lambda over, n: n // over * over),
    "spawn_join": Workload(("n",), lambda n: n),
    "spawn_batch": Workload(("n",), lambda n: n, times=5, peak=True),
    "skynet": Workload(("n",), power_of_ten, times=3, peak=True),
    "mutex": Workload(("tasks", "times"), lambda tasks, times: tasks * times),
    "mutex_yield": Workload(("tasks", "times"), lambda tasks, times: tasks * times),
    "sleepers": Workload(("n",), once=True, peak=True),
    "parked_memory": Workload(("n",), once=True),
    "fib": Workload(("n",), lambda n: fibonacci(n + 1) - 1),  # as many tasks
    "wake_latency": Workload(("every_us", "n"), two_workers=True),
    "idle": Workload(("n",), once=True),
    "sieve": Workload(("n",), lambda n: n),
    "scaling": Workload(("n",), two_workers=True),
}


def parse(case, rival):
    """The name of the workload and its arguments without `w`; raises NoCase or Cannot."""
    name, _, rest = case.partition("/")
    who, *words = rest.split("/")
    if name not in WORKLOADS or who != rival:
        raise NoCase("no such case")
    workload = WORKLOADS[name]
    names = workload.arguments if workload.two_workers else ("w", *workload.arguments)
    found = [re.fullmatch(r"([a-z_]+):([1-9][0-9]*)", word) for word in words]
    if not all(found) or sorted(match[1] for match in found) != sorted(names):
        raise NoCase(f"no such case: the arguments are {', '.join(names)}, each at least 1")
    arguments = {match[1]: int(match[2]) for match in found}
    if arguments.pop("w", 2) != 1:
        raise Cannot(f"needs two workers: {rival} has one thread")
    if workload.operations and workload.operations(**arguments) < 1:
        raise NoCase("no such case: too small for one operation (skynet: n is a power of ten)")
    return name, arguments


def seconds(text):
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


class Runs:
    """Says how often a body runs, and keeps what each run returned."""

    def __init__(self, workload, min_seconds):
        self.workload, self.min_seconds = workload, min_seconds
        self.warm = workload.once
        self.results = []

    def wanted(self):
        if self.workload.once:
            return not self.results
        if not self.results:
            return True
        if self.workload.times is not None:
            return len(self.results) < self.workload.times
        return sum(self.results) < self.min_seconds

    def add(self, result):
        """The first is dropped: what the runtime keeps for the next time is there from then on."""
        if self.warm:
            self.results.append(result)
        self.warm = True

    def figures(self, arguments):
        if self.workload.once:
            found = dict(self.results[0])
        else:
            median = sorted(self.results)[len(self.results) // 2]
            found = {"seconds": median,
                     "ns": median * 1e9 / self.workload.operations(**arguments)}
        if "ends" in arguments:
            found["million_per_s"] = 1e3 / found["ns"]
        if self.workload.peak:
            found["peak_mib"] = memory_now().peak_bytes / 2**20
        return found


@dataclasses.dataclass(frozen=True)
class Memory:
    resident_bytes: int    # VmRSS
    peak_bytes: int        # VmHWM
    page_table_bytes: int  # VmPTE
    mappings: int          # lines of /proc/self/maps


def memory_now():
    with open("/proc/self/status", encoding="ascii") as status:
        kib = dict(re.findall(r"^(VmRSS|VmHWM|VmPTE):\s*(\d+) kB$", status.read(), re.M))
    with open("/proc/self/maps", "rb") as maps:
        mappings = sum(1 for _ in maps)
    return Memory(*(int(kib[key]) * 1024 for key in ("VmRSS", "VmHWM", "VmPTE")), mappings)


def memory_figures(before, after, n):
    """What `n` waiting tasks hold. Neither rival has a stack for each, and so no guards."""
    grown = (after.resident_bytes + after.page_table_bytes
             - before.resident_bytes - before.page_table_bytes)
    return {"bytes_each": grown / n, "mappings": after.mappings, "guard_pages": 0}


def fibonacci(n):
    here, following = 0, 1
    for _ in range(n):
        here, following = following, here + following
    return here


def nth_prime(n):
    primes, candidate = [], 1
    while len(primes) < n:
        candidate += 1
        if all(candidate % p for p in primes):
            primes.append(candidate)
    return primes[-1]
