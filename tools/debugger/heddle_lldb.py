# SPDX-License-Identifier: BSL-1.0
# heddle_lldb: fibers in lldb, in a live process and in a core file: each that does not run is one
# more thread, with a name that says what it waits for. Before the process is there:
#   command script import <prefix>/share/heddle/heddle_lldb.py  (in the source tree: tools/debugger)
# Then:
#   thread list
#   thread select 12
#   thread backtrace all
#
# lldb asks for the threads at each stop. Where there are more than 10,000 fibers, only those with
# the lowest numbers are shown while the process lives; in a core file all.
#
# Debian 12's lldb finds its own Python modules only with
# PYTHONPATH=/usr/lib/llvm-14/lib/python3.11/dist-packages.
import os
import struct
import sys
from pathlib import Path

import lldb

sys.path.insert(0, str(Path(__file__).resolve().parent))
import heddle_fibers  # noqa: E402

MOST_WHILE_ALIVE = 10_000
# Out of the way of the system's thread ids.
FIRST_ID = 1 << 32

# The registers by lldb's names, in the order of their DWARF numbers; and what some are for.
X86_64 = (["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{i}" for i in range(8, 16)),
           "rip"], {"rip": "pc", "rsp": "sp", "rbp": "fp"}, heddle_fibers.SAVED_X86_64)
ARM64 = ([*(f"x{i}" for i in range(31)), "sp", "pc"],
         {"pc": "pc", "sp": "sp", "x29": "fp", "x30": "ra"}, heddle_fibers.SAVED_ARM64)


class OperatingSystemPlugIn:
    """What lldb calls one that tells it of threads."""

    def __init__(self, process):
        self.process = process
        self.everything, self.fibers = None, {}
        triple = process.GetTarget().GetTriple()
        self.registers = ARM64 if triple.startswith(("aarch64", "arm64")) else X86_64

    def read(self, address, size):
        error, target = lldb.SBError(), self.process.GetTarget()
        found = self.process.ReadMemory(address, size, error)
        if not found or len(found) != size:  # a core file leaves out what is in the program's file
            found = target.ReadMemory(lldb.SBAddress(address, target), size, error)
        if not found or len(found) != size:
            raise heddle_fibers.Unreadable()
        return found

    def look(self):
        self.everything, self.fibers = None, {}
        target = self.process.GetTarget()
        for each in target.FindSymbols("heddle_layout"):
            table = each.GetSymbol().GetStartAddress().GetLoadAddress(target)
            if table == lldb.LLDB_INVALID_ADDRESS:
                continue
            try:
                self.everything = heddle_fibers.Process(heddle_fibers.Memory(self.read), table)
            except (heddle_fibers.Unreadable, heddle_fibers.OtherVersion):
                continue  # not there yet
            suspended = [f for f in self.everything.fibers if f.frame]
            if self.process.GetPluginName() != "elf-core":
                suspended = suspended[:MOST_WHILE_ALIVE]
            self.fibers = {FIRST_ID + f.number: f for f in suspended}

    # lldb's side

    def create_thread(self, tid, context):
        return None

    def get_thread_info(self):
        self.look()
        return [{"tid": tid, "name": f"fiber {f.label()} {f.state(self.everything.now_ns)}",
                 "queue": "heddle", "state": "stopped", "stop_reason": "none"}
                for tid, f in self.fibers.items()]

    def get_register_info(self):
        names, roles, _ = self.registers
        registers = []
        for number, name in enumerate(names):
            one = {"name": name, "bitsize": 64, "offset": 8 * number, "encoding": "uint",
                   "format": "hex", "set": 0, "gcc": number, "dwarf": number}
            if name in roles:
                one["generic"] = one["alt-name"] = roles[name]
            registers.append(one)
        if self.registers is ARM64:
            registers[-1]["gcc"] = registers[-1]["dwarf"] = 32
        return {"sets": ["General Purpose Registers"], "registers": registers}

    def get_register_data(self, tid):
        names, _, saved = self.registers
        try:
            values = self.everything.registers(self.fibers[tid], saved)
        except heddle_fibers.Unreadable:
            values = {}
        return struct.pack(f"<{len(names)}Q", *(values.get(name, 0) for name in names))


def __lldb_init_module(debugger, _):
    debugger.HandleCommand("settings set target.process.python-os-plugin-path "
                           f'"{os.path.realpath(__file__)}"')
