# SPDX-License-Identifier: BSL-1.0
# heddle_fibers: the fibers of a stopped process, read from its memory; for heddle_gdb.py and
# heddle_lldb.py.
#
# Where things are is said by a table in the library (debug/layout.cpp): no debug information is
# needed, and nothing runs in the process.
import struct

VERSION = 1
# How many records are read at a time.
CHUNK = 1024

# What Boost.Context saves, as offsets from where its registers begin; then the stack pointer, and
# how far above that place the stack goes on.
SAVED_X86_64 = ({"r12": 0x08, "r13": 0x10, "r14": 0x18, "r15": 0x20, "rbx": 0x28, "rbp": 0x30,
                 "rip": 0x38}, "rsp", 0x40)
SAVED_ARM64 = ({**{f"x{19 + i}": 0x40 + 8 * i for i in range(12)}, "pc": 0xA0}, "sp", 0xB0)


class Unreadable(Exception):
    """There is no memory at this address, or it is not in the core file."""


class OtherVersion(Exception):
    """The table is not one that this file knows."""


class Memory:
    """A process's memory. `read(address, size)` returns bytes, or raises Unreadable."""

    def __init__(self, read):
        self.read = read

    def numbers(self, address, form):
        return struct.unpack("<" + form, self.read(address, struct.calcsize("<" + form)))

    def word(self, address):
        return self.numbers(address, "Q")[0]

    def text(self, address, most=200):
        """A string that a null ends."""
        text = b""
        while len(text) < most and b"\0" not in text:
            # Not beyond the page, which may be the last one.
            at = address + len(text)
            text += self.read(at, min(64, 4096 - at % 4096))
        return text.split(b"\0")[0].decode(errors="replace")


class Layout:
    """The table that is at `entry`: `at` an address, `of` a number."""

    def __init__(self, memory, entry):
        self.at, self.of = {}, {}
        while name := memory.word(entry):
            key = memory.text(name)
            self.at[key], self.of[key] = memory.numbers(entry + 8, "QQ")
            entry += 24
        if self.of.get("version") != VERSION:
            raise OtherVersion()


class Fiber:
    """One fiber; what its record says."""

    def __init__(self, memory, layout, address, record, running_on):
        def word(name):
            return struct.unpack_from("<Q", record, layout.of[name])[0]

        self.address = address
        self.number = word("fiber.id")
        phase = record[layout.of["fiber.phase"]]
        self.alive = self.number != 0 and phase >= layout.of["phase.live"]
        if not self.alive:
            return
        saved = word("fiber.frame")
        # Odd: there is none; or somebody in the process looks at it (sched/look.hpp).
        self.frame = None if saved == 1 else saved & ~1
        self.thread_id = running_on.get(address)
        self.stack = word("fiber.stack")
        low, = struct.unpack_from("<I", record, layout.of["fiber.started_low"])
        high, = struct.unpack_from("<H", record, layout.of["fiber.started_high"])
        self.started_from = high << 32 | low
        self.name = ""
        if extras := word("fiber.extras"):
            start, size = memory.numbers(extras + layout.of["extras.name"], "QQ")
            self.name = memory.read(start, min(size, 255)).decode(errors="replace") if size else ""
        self.waits_for, self.since_ns = None, 0
        note = word("fiber.note")
        if self.frame and note & layout.of["note.sleeps"]:
            note &= ~(layout.of["note.sleeps"] | layout.of["note.tied"])
            self.waits_for = "for something: its stack is not in the core file"
            try:
                self.read_note(memory, layout, note)
            except Unreadable:
                pass

    def read_note(self, memory, layout, note):
        """The note lies on its stack."""
        what, thing, owner, since_ns = (memory.word(note + layout.of["note." + key])
                                        for key in ("what", "object", "owner", "since_ns"))
        if what == 0:
            return
        self.waits_for, self.since_ns = memory.text(what), since_ns
        if owner == layout.at["fiber_itself"]:
            self.waits_for += f" fiber {memory.word(thing + layout.of['fiber.id'])}"
        elif thing:
            self.waits_for += f" {thing:#x}"

    def label(self):
        return f"{self.number} '{self.name}'" if self.name else str(self.number)

    def state(self, now_ns=0):
        if self.waits_for:
            known = 0 < self.since_ns <= now_ns
            since = f" for {(now_ns - self.since_ns) / 1e9:.2f} s" if known else ""
            return f"waits {self.waits_for}{since}"
        if self.frame:
            return "is ready to run"
        return "runs" if self.thread_id else "has not run yet"


class Process:
    """All fibers, by their numbers; `now_ns` is the latest time that is known."""

    def __init__(self, memory, table):
        self.memory, self.layout = memory, Layout(memory, table)
        self.fibers, self.now_ns, running_on, runtimes = [], 0, {}, []
        of = self.layout.of
        runtime = memory.word(self.layout.at["first_runtime"])
        while runtime:
            runtimes.append(runtime)
            workers = memory.word(runtime + of["runtime.workers"])
            count, = memory.numbers(runtime + of["runtime.worker_count"], "I")
            for i in range(count):
                if worker := memory.word(workers + 8 * i):
                    fiber = memory.word(worker + of["worker.current"])
                    running_on[fiber], = memory.numbers(worker + of["worker.thread_id"], "i")
                    now_ns = memory.word(worker + of["worker.rough_now_ns"])
                    self.now_ns = max(self.now_ns, now_ns)
            runtime = memory.word(runtime + of["runtime.next"])
        for runtime in runtimes:
            self.read_fibers(runtime, running_on)
        self.fibers.sort(key=lambda f: f.number)
        self.now_ns = max([self.now_ns] + [f.since_ns for f in self.fibers])

    def read_fibers(self, runtime, running_on):
        memory, of = self.memory, self.layout.of
        size = of["fiber"]
        slab, end = memory.numbers(runtime + of["runtime.slabs"], "QQ")
        while slab < end:
            blocks = memory.word(slab + of["slab.blocks"])
            used = memory.word(slab + of["slab.used"])
            for first in range(0, used, CHUNK):
                count = min(CHUNK, used - first)
                records = memory.read(blocks + first * size, count * size)
                for i in range(count):
                    fiber = Fiber(memory, self.layout, blocks + (first + i) * size,
                                  records[i * size:(i + 1) * size], running_on)
                    if fiber.alive:
                        self.fibers.append(fiber)
            slab += of["slab"]

    def registers(self, fiber, saved):
        """Those of a suspended fiber, by name; `saved` is SAVED_X86_64 or SAVED_ARM64."""
        offsets, stack_pointer, above = saved
        base = fiber.frame + self.memory.word(self.layout.at["registers_offset"])
        values = {name: self.memory.word(base + offset) for name, offset in offsets.items()}
        return {**values, stack_pointer: base + above}

    def who_owns(self, mark):
        """The fiber on whose stack `mark` is, or whose agent it is (with assertions); or None."""
        for each in self.fibers:
            if each.address + self.layout.of["fiber.agent"] == mark:
                return each
            if each.stack:
                bottom = self.memory.word(each.stack + self.layout.of["stack.bottom"])
                top = self.memory.word(each.stack + self.layout.of["stack.top"])
                if bottom <= mark < top:
                    return each
        return None
