#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# The code in a document compiles, runs, and prints what the document says.
#   documents_test.py extract DOCUMENT FOLDER    writes its C++ there; CMake compiles it
#   documents_test.py run DOCUMENT               runs what was compiled, and the rest
#
# A block ```text holds what each block of code before it prints, back to the last such block. Code:
#   cpp       with a main it is a program. Else it is the body of a function, and all of those of a
#             document make one program: one for those that say heddle::, which run in a fiber, and
#             one for those that do not, and know only std. The latter make a third one, in which
#             std's names are heddle's, so that their threads are fibers.
#   python    a program
#   go        the body of a main, without its imports; needs go, and is left out where there is none
# Blocks of any other kind are not looked at. Programs with heddle run with 1, 2 and 8 workers.
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import program  # of the tests of the examples; runs what lies in $HEDDLE_EXAMPLES

LANGUAGES = ("cpp", "python", "go")

# What the pieces that are no programs need around them.
PROLOGUE = """
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <queue>
#include <semaphore>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
"""
EPILOGUE = """
int main(int, char** argv) {{
  void (*const pieces[])() = {{{names}}};
  {start}(pieces[std::stoi(argv[1])]);
}}
"""
# What is renamed where std's threads become fibers.
SAME = ("async", "call_once", "condition_variable", "condition_variable_any", "future", "mutex",
        "once_flag", "promise")
RENAMED = {**dict(zip(SAME, SAME)), "jthread": "fiber", "this_thread": "this_fiber"}

GO_PACKAGES = ("context", "errors", "fmt", "runtime", "strings", "sync", "time")


class Block:
    """A block of code: its language, its first line's number, its text, and what it prints."""

    def __init__(self, language, line, code, printed=None):
        self.language, self.line, self.code, self.printed = language, line, code, printed
        self.is_program = language == "python" or "int main(" in code
        self.kind = "heddle" if "heddle::" in code else "std"

    def with_fibers(self):
        rename = lambda m: f"heddle::{RENAMED[m[1]]}" if m[1] in RENAMED else m[0]
        return Block(self.language, self.line, re.sub(r"std::(\w+)", rename, self.code),
                     self.printed)


def blocks_of(document):
    """The blocks of code in a document; exits if one lacks its output, or an output its code."""
    found, unanswered = [], []
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
    text = document.read_text(encoding="utf-8")
    for match in fence.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        language, code = match.groups()
        if language in LANGUAGES:
            unanswered.append(Block(language, line, code))
        elif language == "text":
            if not unanswered:
                sys.exit(f"{document}:{line}: no code before this output")
            for block in unanswered:
                block.printed = code
            found += unanswered
            unanswered = []
    if unanswered:
        sys.exit(f"{document}:{unanswered[0].line}: nothing says what this prints")
    return found


def targets_of(document):
    """The programs that its C++ makes: pairs of a name and the blocks in it."""
    cpp = [b for b in blocks_of(document) if b.language == "cpp"]
    stem = document.stem.replace("-", "_")
    targets = [(f"{stem}_{n}", [b]) for n, b in enumerate((b for b in cpp if b.is_program), 1)]
    pieces = [b for b in cpp if not b.is_program]
    with_std = [b for b in pieces if b.kind == "std"]
    for kind, those in (("heddle", [b for b in pieces if b.kind == "heddle"]), ("std", with_std),
                        ("renamed", [b.with_fibers() for b in with_std])):
        if those:
            targets.append((f"{stem}_{kind}", those))
    return targets


def source_of(document, blocks):
    at = lambda block: f'#line {block.line} "docs/{document.name}"\n{block.code}'
    if blocks[0].is_program:
        return at(blocks[0])
    is_heddle = blocks[0].kind == "heddle"
    functions = [f"static void piece_{b.line}() {{\n{at(b)}}}\n" for b in blocks]
    end = EPILOGUE.format(names=", ".join(f"piece_{b.line}" for b in blocks),
                          start="heddle::run" if is_heddle else "std::invoke")
    return ("#include <heddle/heddle.hpp>\n" * is_heddle + PROLOGUE + "\n".join(functions) + end)


def extract(document, folder):
    """Prints the names of the sources; leaves a file alone that says the same already."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, blocks in targets_of(document):
        path, source = folder / f"{name}.cpp", source_of(document, blocks)
        if not path.exists() or path.read_text(encoding="utf-8") != source:
            path.write_text(source, encoding="utf-8")
        print(path)


class Document(unittest.TestCase):
    path = None

    def blocks(self, language):
        return [b for b in blocks_of(self.path) if b.language == language]

    def outcome(self, *command, **options):
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=program.TIMEOUT_S, **options)

    def prints(self, block, done):
        errors = "" if "std::cerr" in block.code else done.stderr.decode()
        self.assertEqual((done.returncode, errors), (0, ""))
        self.assertEqual(done.stdout.decode(), block.printed)

    def test_cpp(self):
        for name, blocks in targets_of(self.path):
            for n, block in enumerate(blocks):
                for workers in program.WORLDS if block.kind == "heddle" else (None,):
                    with self.subTest(name, line=block.line, workers=workers):
                        self.prints(block, program.run(name, str(n), workers=workers))

    def test_python(self):
        with tempfile.TemporaryDirectory() as folder:
            for block in self.blocks("python"):
                with self.subTest(line=block.line):
                    file = Path(folder) / f"piece_{block.line}.py"
                    file.write_text(block.code, encoding="utf-8")
                    self.prints(block, self.outcome(sys.executable, "-B", file))

    def test_go(self):
        pieces = self.blocks("go")
        if pieces and not shutil.which("go"):
            self.skipTest(f"there is no go here: {len(pieces)} pieces were not tried")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "go.mod").write_text("module piece\n\ngo 1.18\n", encoding="utf-8")
            for block in pieces:
                with self.subTest(line=block.line):
                    used = [p for p in GO_PACKAGES if re.search(rf"\b{p}\.[A-Z]", block.code)]
                    text = "".join(["package main\n\n", *(f'import "{p}"\n' for p in used),
                                    "\nfunc main() {\n", block.code, "}\n"])
                    (Path(folder) / "main.go").write_text(text, encoding="utf-8")
                    vetted = self.outcome("go", "vet", ".", cwd=folder)
                    self.assertEqual(vetted.returncode, 0, vetted.stderr.decode())
                    self.prints(block, self.outcome("go", "run", ".", cwd=folder))


if __name__ == "__main__":
    Document.path = Path(sys.argv[2])
    if sys.argv[1] == "extract":
        extract(Document.path, Path(sys.argv[3]))
    else:
        unittest.main(argv=sys.argv[:1], verbosity=2)
