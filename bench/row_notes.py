# SPDX-License-Identifier: BSL-1.0
# row_notes: what docs/benchmarks.md says in words: for each row of performance.md what its floor
# is, what is paid above it and for what; and what the plots of growth show.
import json
import pathlib

_HELD = json.loads((pathlib.Path(__file__).resolve().parent.parent / "tests" / "instructions" /
                    "instructions.json").read_text(encoding="utf-8"))


def _instructions(path):
    return f"{_HELD[path]['instructions']:,} instructions"


COST = """Instructions and atomic operations are those that
[tests/instructions](../tests/instructions/instructions.json) holds. An atomic read-modify-write
costs 2 ns (AMD) to 9 (Intel) where nobody else wants the line, as 30 to 90 other instructions do.
"""

# (row, its floor, what is paid above it)
PAID = [
    ("1 yield",
     "the bare jump: six registers and two control words to the stack that is left and back "
     "from the other",
     f"{_instructions('yield')}"
     ", no atomic read-modify-write: the queue is locked and opened by two "
     "stores, one fiber taken from the ring and one put there; who runs is noted, for dumps "
     "and the watchdog; the word of the suspended frame, by which others may look at it; a "
     "count; errno and the exceptions in flight, which go with the fiber"),
    ("2 yield_many",
     "jumps round 10,000 contexts: of each a line of its stack, from the second cache or the "
     "third",
     "a line of its record, and the place in the ring"),
    ("3 chan_pingpong",
     "two jumps",
     f"{_instructions('ping_pong')}"
     " for two sends, two receives and two parks; two atomic operations: a "
     "claim for each that is woken, which makes sure that of a value, a timer, a stop token "
     "and a cancellation exactly one ends the wait. What each waits for is noted, for reports"),
    ("4 chan_spsc, mpmc",
     "a lock a value at each end",
     f"{_instructions('send_and_receive')}"
     " for a send and a receive with room, and no atomic operation, since the two "
     "locks stick to the worker; w=2: the same, since fibers that talk are left together"),
    ("5 spawn_join_one",
     "a context made, run and ended, by Boost.Context's own class on a stack that is at hand",
     f"{_instructions('spawn_and_join')}"
     ": a record from the worker's own, the callable, the id, the place where "
     "it was started (for reports); the wait of the joiner, and the record back. One atomic "
     "operation, the claim"),
    ("5 spawn_batch",
     "the same",
     f"{_instructions('spawn_many')}"
     " each, and two atomic operations: the group's count, up and down. No wait "
     "for each, and a stack that a fiber has left is handed to the next without a jump"),
    ("6 skynet",
     "",
     "1,111,111 fibers and 111,111 channels from the heap; the youngest fiber runs first, so "
     "that few stacks are in use at once"),
    ("7 mutex",
     "an atomic addition; a lock and an unlock are two",
     f"{_instructions('lock_and_unlock')}"
     " where nobody waits, and no atomic operation: a mutex changes under a lock that sticks to "
     "the worker; whose it is, noted by two stores. w=2: fibers that seek one mutex all the time "
     "are left to one worker; where both contend, two atomic operations, and the line of the lock "
     "travels each time that the other core gets it"),
    ("7 with a yield inside",
     "",
     "all others come to wait: a park, a claim and a hand-over each"),
    ("8 select",
     "",
     f"{_instructions('select_of_2')}"
     " and one atomic operation a value over two channels: hints without a "
     "lock first, then all locks if none was ready; a waiter in each channel's list, and out of "
     "it again, each under that channel's lock"),
    ("9 sleepers",
     "the first touch of a page for each stack",
     "a place in the timing wheel, one move in it, and the wake. Each of these, and the switch, "
     "misses the caches and the translation buffer, since the stacks are far apart"),
    ("10 parked_memory",
     "a page and its share of the page tables",
     "a record of 192 bytes, and the guard's mark in the page tables"),
    ("11 fib",
     "",
     "a fiber for each call: started, run on the stack that the last one left, joined mostly "
     "without a wait"),
    ("12 wake_latency",
     "a cache line to the other core; for one that sleeps, a futex",
     "a worker that found nothing looks on for 50 µs, then sleeps; who wakes it pays the "
     "system call"),
    ("13 sieve",
     "",
     "a ping-pong for each number that a filter passes on"),
    ("15 scaling",
     "2.0",
     "what starting and stealing the chunks costs"),
]

GROWTH = """- **Fibers**: up to some hundreds all that a switch touches is in the first cache, up
  to some ten thousand in the second or third; then each switch fetches the fiber's stack and
  record from memory.
- **Channels in a select**: a walk over all for each value, 7 to 18 ns each with the machine, and 10
  to 30 where it must sleep and links into all; more with 1,000, whose senders' stacks leave the
  caches.
- **Timers**: a wheel: arming one and taking it back costs the same beside a million.
- **Workers** beyond the cores take turns by the kernel's leave, and some find nothing to do: with 8
  to 32 of them on two cores a yield or a round trip costs up to twice what it does with two, about
  as much as with one. With 64 a yield costs two to three times as much as with two, and up
  to fifteen times in a single round, which is not explained yet.
"""
