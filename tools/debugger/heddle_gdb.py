# SPDX-License-Identifier: BSL-1.0
# heddle_gdb: fibers in gdb, in a live process and in a core file.
#
#   info fibers                 all fibers: what each waits for, and where it is
#   fiber                       the selected one
#   fiber 7                     selects fiber 7: bt, up, frame, info locals are then about its stack
#   fiber none                  back to the thread
#   fiber apply 3 5-8 bt        a command for each of these; `all` for all
#   print x                     channels, mutexes, fibers by what they hold
#
# gdb loads it of itself where heddle is installed under /usr; elsewhere:
#   source <prefix>/share/heddle/heddle_gdb.py    (in the source tree: tools/debugger)
#
# Nothing runs in the process, and nothing is written there. The selected fiber lends its frames to
# the selected thread: an unwinder says that the thread's innermost frame was called from where the
# fiber stands, and a filter leaves that one frame out of backtraces. Whatever makes the process go
# on takes that back. `bt -no-filters` shows heddle's own frames too.
#
# The printers need the program's debug information; all else needs none.
import re
import sys
from pathlib import Path

import gdb
import gdb.printing
import gdb.unwinder

sys.path.insert(0, str(Path(__file__).resolve().parent))
import heddle_fibers  # noqa: E402


def read(address, size):
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except gdb.MemoryError:
        raise heddle_fibers.Unreadable() from None


def process():
    """The process as it is now, with all its fibers."""
    if not gdb.selected_inferior().threads():
        raise gdb.GdbError("The program is not running.")
    try:
        table = int(gdb.parse_and_eval("(unsigned long) &heddle_layout"))
    except gdb.error:
        raise gdb.GdbError("There is no heddle in this program, or it was stripped of its "
                           "symbols.") from None
    try:
        return heddle_fibers.Process(heddle_fibers.Memory(read), table)
    except heddle_fibers.OtherVersion:
        raise gdb.GdbError("This heddle_gdb.py is not the one of the program's heddle: take the "
                           "one that was installed with it.") from None
    except heddle_fibers.Unreadable:
        raise gdb.GdbError("heddle's memory cannot be read: the core file is not whole, or it is "
                           "another program's.") from None


def numbered(all_of_them, number):
    for each in all_of_them.fibers:
        if each.number == number:
            return each
    raise gdb.GdbError(f"There is no fiber {number}. `info fibers` lists them.")


# --- The stack of a fiber that does not run

SAVED = {"i386:x86-64": heddle_fibers.SAVED_X86_64, "aarch64": heddle_fibers.SAVED_ARM64}


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class FiberUnwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("heddle")
        self.fiber, self.thread, self.registers, self.innermost = None, None, {}, None

    def __call__(self, frame):
        if self.fiber is None or gdb.selected_thread() != self.thread:
            return None
        # By its registers: functions that are inlined there have levels of their own below it.
        if (int(frame.read_register("sp")), int(frame.read_register("pc"))) != self.innermost:
            return None
        # Below the fiber's frames: those who are called lie below those who call.
        found = frame.create_unwind_info(FrameId(gdb.Value(self.fiber.frame),
                                                 frame.read_register("pc")))
        for name, value in self.registers.items():
            kind = frame.read_register(name).type
            found.add_saved_register(name, gdb.Value(value).cast(kind))
        return found

    def lend(self, fiber, registers=None):
        """From now on the selected thread shows the frames of `fiber`; None: its own."""
        self.fiber = None
        gdb.invalidate_cached_frames()
        if fiber is None:
            return
        own = gdb.newest_frame()
        self.innermost = int(own.read_register("sp")), int(own.read_register("pc"))
        self.fiber, self.thread, self.registers = fiber, gdb.selected_thread(), registers
        gdb.invalidate_cached_frames()

    def shows(self):
        """The fiber whose frames the selected thread shows, or None."""
        return self.fiber if self.fiber and gdb.selected_thread() == self.thread else None


def first_lent():
    """The innermost frame that is the fiber's, after the thread's and what is inlined there."""
    frame = gdb.newest_frame()
    while frame is not None and frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame.older() if frame is not None else None


class FiberFrames:
    """A frame filter: of a fiber's stack what is the program's, and what it called of heddle's."""
    name, priority, enabled = "heddle", 100, True

    def filter(self, frames):
        if unwinder.shows() is None:
            return frames
        first = first_lent().level()
        frames = [f for f in frames if f.inferior_frame().level() >= first]
        theirs = [i for i, f in enumerate(frames) if is_theirs(f.inferior_frame())]
        if not theirs:
            return iter(frames)
        first = theirs[0] - 1
        while first > 0 and (frames[first].inferior_frame().name() or "").startswith("std::"):
            first -= 1  # lock_guard, say
        return iter(frames[max(first, 0):theirs[-1] + 1])


def thread_of(tid):
    for each in gdb.selected_inferior().threads():
        if each.ptid[1] == tid:
            return each
    return None


def select(everything, fiber):
    """Makes the selected frame one of `fiber`'s: the innermost that is the program's."""
    unwinder.lend(None)
    if fiber.frame:
        architecture = gdb.selected_inferior().architecture().name()
        if architecture not in SAVED:
            raise gdb.GdbError(f"The frames of fibers are not known for {architecture}.")
        try:
            registers = everything.registers(fiber, SAVED[architecture])
            unwinder.lend(fiber, registers)
            innermost = first_lent()
        except (gdb.error, heddle_fibers.Unreadable):
            innermost = None
        if innermost is None or innermost.pc() == 0:
            unwinder.lend(None)
            raise gdb.GdbError(f"The stack of fiber {fiber.label()} cannot be read. (gcore leaves "
                               "out what is near a guard page; let the system write the core "
                               "file.)")
        first_of_theirs(innermost).select()
        return
    thread = thread_of(fiber.thread_id) if fiber.thread_id else None
    if thread is None:
        raise gdb.GdbError(f"Fiber {fiber.label()} has not run yet: it has no stack.")
    thread.switch()
    first_of_theirs(gdb.newest_frame()).select()


class Selection:
    """Restores, at the end of a `with`, the thread, the fiber and the frame that were selected."""

    def __enter__(self):
        self.thread = gdb.selected_thread()
        self.lent = (unwinder.shows(), unwinder.registers)
        try:
            self.level = gdb.selected_frame().level()
        except gdb.error:
            self.level = 0
        return self

    def __exit__(self, *_):
        if self.thread is None or not self.thread.is_valid():
            return
        self.thread.switch()
        unwinder.lend(*self.lent)
        try:
            gdb.execute(f"frame {self.level}", to_string=True)
        except gdb.error:
            pass


NOT_THEIRS = re.compile(r"(heddle|std|boost|__gnu_cxx)::|heddle_|_|jump_fcontext|make_fcontext")
SYSTEM_LIBRARY = re.compile(r"(/usr)?/lib")  # of what has no debug information
NOT_THEIR_FILE = re.compile(r"/include/(heddle|c\+\+)/")


def is_theirs(frame):
    """Whether it runs a function of the program's, not one of heddle's or std's."""
    if NOT_THEIRS.match(frame.name() or "_"):
        return False
    line = frame.find_sal()  # a lambda's name says nothing
    if line.symtab is not None:
        return not NOT_THEIR_FILE.search(line.symtab.filename)
    return not SYSTEM_LIBRARY.match(gdb.solib_name(frame.pc()) or "")


def frames_from(frame):
    while frame is not None:
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


def first_of_theirs(frame):
    """The first one from `frame` on that is the program's, or has its types in its name, since the
    program's code was inlined into it; else `frame`."""
    best = None
    for each in frames_from(frame):
        if is_theirs(each):
            return each
        if best is None and "<" in (each.name() or ""):
            best = each
    return best or frame


def place(symtab, line):
    return f" ({symtab.filename.rsplit('/', 1)[-1]}:{line})"


def where_it_is(everything, fiber):
    try:
        select(everything, fiber)
    except gdb.GdbError:
        return ""
    frame = gdb.selected_frame()
    line = frame.find_sal()
    return (f"in {frame.name() or hex(frame.pc())}"
            + (place(line.symtab, line.line) if line.symtab else ""))


def where_it_started(fiber):
    if not fiber.started_from:
        return ""
    pc = fiber.started_from - 1
    block = gdb.current_progspace().block_for_pc(pc)
    while block is not None and NOT_THEIRS.match(block.function.name if block.function else "_"):
        block = block.superblock
    if block is None:
        text = gdb.execute(f"info symbol {pc:#x}", to_string=True)
        return text.split(" + ")[0].strip() if " in section " in text else hex(pc + 1)
    # What was called there is mostly inlined: the line is the last one before it that is theirs.
    while block.start <= pc:
        line = gdb.find_pc_line(pc)
        if line.symtab is not None and not NOT_THEIR_FILE.search(line.symtab.filename):
            return block.function.name + place(line.symtab, line.line)
        if line.symtab is None or line.pc == 0:
            break
        pc = line.pc - 1
    return block.function.name


# --- The commands

class InfoFibers(gdb.Command):
    """All fibers of the program: what each waits for, where it is, and who started it.
The one marked * is selected. Fibers that have ended are not there."""

    def __init__(self):
        super().__init__("info fibers", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError("`info fibers` takes no arguments. `fiber apply` shows some.")
        everything = process()
        if not everything.fibers:
            print("No fibers.")
        current, starts = selected_fiber(everything), {}
        with Selection():
            for each in everything.fibers:
                mark = "*" if current and each.number == current.number else " "
                if each.started_from not in starts:
                    starts[each.started_from] = where_it_started(each)
                started = starts[each.started_from]
                parts = [each.state(everything.now_ns), where_it_is(everything, each),
                         f"started by {started}" if started else ""]
                print(f"{mark} {each.label()}  {', '.join(p for p in parts if p)}")


def selected_fiber(everything):
    """The fiber whose frames are shown: a lent one, or the one that the thread runs; or None."""
    if shown := unwinder.shows():
        return shown
    thread = gdb.selected_thread()
    for each in everything.fibers:
        if thread and not each.frame and each.thread_id == thread.ptid[1]:
            return each
    return None


def one_number(text):
    if not re.fullmatch(r"\d+", text):
        raise gdb.GdbError(f"A fiber is called by its number, not \"{text}\". `info fibers` lists "
                           "them.")
    return int(text)


class FiberCommand(gdb.Command):
    """fiber N: select fiber N; its frames are then those of bt, up, down, frame and info locals.
fiber: say which one is selected.
fiber none: show the thread's own frames again; so does whatever makes the program go on."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK, prefix=True)

    def invoke(self, argument, from_tty):
        everything = process()
        if argument == "none":
            unwinder.lend(None)
        elif argument:
            select(everything, numbered(everything, one_number(argument)))
        fiber = selected_fiber(everything)
        if fiber is None:
            print("No fiber is selected.")
            return
        print(f"Fiber {fiber.label()} {fiber.state(everything.now_ns)}.")
        gdb.execute("frame")


class FiberApply(gdb.Command):
    """fiber apply all COMMAND: apply a command to every fiber.
fiber apply 3 5-8 COMMAND: to those of these numbers that there are.
Fibers that have not run yet have no stack, and are left out. A command that fails for one fiber is
told, and the next follows."""

    def __init__(self):
        super().__init__("fiber apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        chosen, command = self.parse(argument)
        everything = process()
        with Selection():
            for each in everything.fibers:
                if chosen is not None and not any(a <= each.number <= b for a, b in chosen):
                    continue
                print(f"\nFiber {each.label()} {each.state(everything.now_ns)}:")
                if not each.frame and not each.thread_id:
                    continue
                try:
                    select(everything, each)
                    gdb.execute(command, from_tty)
                except (gdb.error, gdb.GdbError) as error:
                    print(error)

    @staticmethod
    def parse(argument):
        if match := re.match(r"all\s+(\S.*)", argument):
            return None, match[1]
        if match := re.match(r"((?:\d+(?:-\d+)?\s+)+)(\S.*)", argument):
            ranges = [r.split("-") for r in match[1].split()]
            return [(int(r[0]), int(r[-1])) for r in ranges], match[2]
        raise gdb.GdbError("Which fibers, and what? As in: fiber apply all bt, "
                           "fiber apply 3 5-8 bt 5")


# --- Printers

def owner_text(mark):
    """Whom the word of an owner names (sync/lock_owner.hpp)."""
    if mark == 0:
        return ""
    try:
        owner = process().who_owns(mark)
    except (gdb.error, gdb.GdbError, heddle_fibers.Unreadable):
        owner = None
    return f" by fiber {owner.label()}" if owner else " by a thread"


def atomic_value(value):
    """What a std::atomic of a number or a pointer holds."""
    kind = value.type.strip_typedefs().tag
    if kind == "std::atomic<bool>":
        value = value["_M_base"]
    return value["_M_b"]["_M_p"] if kind.endswith("*>") else value["_M_i"]


def length(intrusive_list):
    root = intrusive_list["root_"].address
    at, count = root["next"], 0
    while at != root and count < 100_000:
        at, count = at["next"], count + 1
    return count


def waiting_text(count, who="waiting"):
    return f", {count} {who}" if count else ""


class MutexPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        state = int(atomic_value(self.value["state_"]))
        text = "locked" + owner_text(int(atomic_value(self.value["owner_"]["who_"])))
        if state & 1 == 0:
            text = "unlocked"
        return text + waiting_text(length(self.value["queue_"]))


class ChannelPrinter:
    """A channel, or one of its halves: how full it is, who waits, and the values in it."""

    def __init__(self, value):
        self.handle = value

    def core(self):
        pointer = self.handle["state_"]
        return pointer if int(pointer) else None

    def to_string(self):
        core = self.core()
        if core is None:
            return "nil channel"
        capacity = int(core["capacity_"])
        text = f"channel of {self.size(core)} of {capacity}" if capacity else "unbuffered channel"
        if atomic_value(core["closed_"]):
            text += ", closed"
        return (text + waiting_text(length(core["out_"]["senders"]["list"]), "sending")
                + waiting_text(length(core["in_"]["receivers"]["list"]), "receiving"))

    @staticmethod
    def size(core):
        size = int(atomic_value(core["in_"]["tail"])) - int(atomic_value(core["out_"]["head"]))
        return max(0, min(size, int(core["capacity_"])))

    def children(self):
        core = self.core()
        if core is None:
            return
        state = core.type.strip_typedefs().target().strip_typedefs()
        item = gdb.lookup_type(f"{state.name}::item")  # what cannot be moved lies in a box
        word = core["in_"]["slot"].type
        ring = int(core["ring_"].address.cast(word.pointer()).dereference())  # a unique_ptr
        for i in range(self.size(core)):
            slot = (int(core["out_"]["slot"]) + i) % int(core["capacity_"])
            at = ring + slot * item.sizeof
            yield f"[{i}]", gdb.Value(at).cast(item.pointer()).dereference()

    def display_hint(self):
        return "array"


class FiberPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        record = int(self.value["record_"])
        if record == 0:
            return "no fiber"
        try:
            everything = process()
        except (gdb.error, gdb.GdbError):
            return f"fiber at {record:#x}"
        for each in everything.fibers:
            if each.address == record:
                return f"fiber {each.label()}, which {each.state(everything.now_ns)}"
        return "fiber that has ended"


class FiberIdPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        number = int(self.value["number_"])
        return f"fiber {number}" if number else "no fiber"


def printers():
    all_of_them = gdb.printing.RegexpCollectionPrettyPrinter("heddle")
    for name, pattern, printer in [
            ("mutex", r"^heddle::(recursive_)?(timed_)?mutex$", MutexPrinter),
            ("channel", r"^heddle::(channel|sender|receiver)<.*>$", ChannelPrinter),
            ("fiber", r"^heddle::fiber$", FiberPrinter),
            ("id", r"^heddle::fiber::id$", FiberIdPrinter)]:
        all_of_them.add_printer(name, pattern, printer)
    return all_of_them


# --- Once, also if it is sourced again

unwinder = FiberUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
gdb.frame_filters["heddle"] = FiberFrames()
gdb.printing.register_pretty_printer(None, printers(), replace=True)


class ExpectOwnFrames(gdb.Command):
    """Before what would write the fiber's registers into the thread."""

    def __init__(self):
        super().__init__("_fiber_expects_none", gdb.COMMAND_OBSCURE)
        for command in ("return", "jump"):
            gdb.execute(f"define hook-{command}\n_fiber_expects_none\nend")

    def invoke(self, argument, from_tty):
        if unwinder.shows() is not None:
            raise gdb.GdbError("The frames are those of a fiber that does not run: `fiber none` "
                               "first.")


def forget(_=None):
    unwinder.fiber = None


gdb.events.cont.connect(forget)
gdb.events.exited.connect(forget)
ExpectOwnFrames()
InfoFibers()
FiberCommand()
FiberApply()
