#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs word_count on generated trees, friendly and not, and on system text where there is some; its
# totals must be those of coreutils' wc, its ranking that of a plain count in Python.
import collections
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import program

CHUNK = 256 * 1024  # word_count's own
SPACES = b" \t\n\v\f\r"
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
PIPELINE = 'find "$0" -type f -print0 | LC_ALL=C wc -w --files0-from=- | tail -n 1'


def coreutils(tree):
    done = subprocess.run(["sh", "-c", PIPELINE, tree], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return int(done.stdout.split()[0]) if done.stdout else 0  # it says nothing of no files


def ranking(texts, n):
    counts = collections.Counter()
    for text in texts:
        counts.update(w for w in re.findall(rb"[^ \t\n\v\f\r]+", text) if re.search(rb"[!-~]", w))
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:n]


def files_below(tree):
    for folder, _, names in os.walk(os.fsencode(tree)):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


class WordCount(unittest.TestCase):
    def setUp(self):
        self.tree = Path(tempfile.mkdtemp(prefix="word_count_test."))
        self.addCleanup(shutil.rmtree, self.tree, ignore_errors=True)

    def write(self, name, content):
        path = self.tree / name if isinstance(name, str) else os.path.join(os.fsencode(self.tree),
                                                                           name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def count(self, tree=None, *arguments, status=0, **options):
        """Runs word_count; returns its ranking, words, files, bytes, and its lines on stderr."""
        done = program.run("word_count", *arguments, tree or self.tree, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        lines = done.stdout.splitlines()
        totals = re.fullmatch(rb"(\d+) words in (\d+) files of (\d+) bytes", lines[-1])
        ranked = [line.split(maxsplit=1) for line in lines[:-1] if not line.startswith(b"(")]
        return ([(word, int(count)) for count, word in ranked], *map(int, totals.groups()),
                done.stderr.splitlines())

    def agrees(self, tree=None, **options):
        """In each world the total is coreutils', and stderr is empty. Returns the rest."""
        expected = coreutils(tree or self.tree)
        for workers in program.WORLDS:
            ranked, words, files, size, errors = self.count(tree, workers=workers, **options)
            self.assertEqual((words, errors), (expected, []), f"with {workers} workers")
        return ranked, words, files, size

    # ---- trees that can be read

    def test_an_empty_tree_has_no_words(self):
        self.assertEqual(self.agrees(), ([], 0, 0, 0))

    def test_empty_files_are_files(self):
        self.write("a", b"")
        self.write("b/c", b"")
        self.assertEqual(self.agrees(), ([], 0, 2, 0))

    def test_a_single_file_is_its_own_tree(self):
        path = self.write("a", b"one two two\n")
        self.assertEqual(self.agrees(path), ([(b"two", 2), (b"one", 1)], 3, 1, 12))

    def test_words_are_what_wc_calls_words(self):
        for byte in range(256):
            self.write(f"alone/{byte}", bytes([byte]))
            self.write(f"within/{byte}", b"a" + bytes([byte]) + b"a")
            self.write(f"beside_the_invisible/{byte}", b"\x80" + bytes([byte]) + b"\x00")
        self.agrees()

    def test_text_is_ranked_as_a_plain_count_ranks_it(self):
        choice = random.Random(1)
        words = [bytes(choice.choices(b"abcdefgh,.", k=choice.randint(1, 6))) for _ in range(500)]
        texts = []
        for number in range(40):
            text = b"".join(choice.choice(words[:choice.randint(1, 500)])
                            + bytes(choice.choices(SPACES, k=choice.randint(1, 3)))
                            for _ in range(choice.randint(0, 3000)))
            texts.append(text)
            self.write(f"{number % 7}/{number % 3}/{number}", text)
        ranked, _, files, size = self.agrees()
        self.assertEqual(ranked, ranking(texts, 10))
        self.assertEqual((files, size), (len(texts), sum(map(len, texts))))
        for top in (0, 1, 250, 1_000_000):
            self.assertEqual(self.count(self.tree, "--top", str(top))[0], ranking(texts, top))

    def test_words_that_are_no_text_are_counted_but_not_ranked(self):
        not_text = b"a\x01b \x7fc d\0 " * 5 + b"x" * 256
        self.write("file", not_text + b" " + b"y" * 255 + b" z\xc3\xa4h")
        ranked, words, *_ = self.agrees()
        self.assertEqual((ranked, words), ([(b"y" * 255, 1), (b"z\xc3\xa4h", 1)], 18))

    def test_binary_files(self):
        choice = random.Random(2)
        for number, size in enumerate((1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK + 17)):
            self.write(f"random/{number}", choice.randbytes(size))
            self.write(f"sparse/{number}", bytes(choice.choices(b"\0\0\0\0\x80\xa0 \na", k=size)))
            self.write(f"zero/{number}", bytes(size))
        self.agrees()

    def test_words_across_the_borders_of_chunks(self):
        choice = random.Random(3)
        for number in range(60):
            border = choice.randint(1, 3) * CHUNK
            before = choice.choice((b"x", b"\x80", b" ")) * (border - choice.randint(0, 3))
            self.write(f"{number}", before + choice.choice((b" ", b"y", b"\x80")) * 2 + b"z " * 3)
        self.agrees()

    def test_a_word_that_fills_many_chunks_is_one_word(self):
        for number, size in enumerate((CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 9 * CHUNK + 5)):
            dark = b"\x80" * size
            self.write(f"visible/{number}", b"x" * size)
            self.write(f"invisible/{number}", dark)
            self.write(f"visible_at_the_start/{number}", b"x" + dark + b" a")
            self.write(f"visible_in_the_middle/{number}", dark + b"x" + dark + b" b")
            self.write(f"visible_at_the_end/{number}", b" " + dark + b"x")
            self.write(f"between_others/{number}", b"c " + dark + b"x" + dark + b" d")
        ranked, *_ = self.agrees()
        self.assertEqual(ranked, [(b"a", 5), (b"b", 5), (b"c", 5), (b"d", 5)])

    def test_a_huge_file(self):
        line = b"the quick brown fox jumps over the lazy dog\n"
        text = line * (50_000_000 // len(line))
        self.write("huge", text)
        self.write("huge_binary", random.Random(4).randbytes(20_000_000))
        ranked, _, files, _ = self.agrees()
        self.assertEqual(files, 2)
        self.assertEqual(ranked[0], (b"the", 2 * (50_000_000 // len(line))))

    def test_names_may_hold_anything(self):
        for number, name in enumerate((b"with space", b" ", b"new\nline", b"-", b"--help", b"*",
                                       b"\xff\xfe", b"quo'te\"s\\", b"\x1b[31m", b"a" * 255)):
            self.write(name, b"word " * number)
            self.write(name + b".d/" + name if len(name) < 250 else b"x/y", b"word")
        ranked, _, files, _ = self.agrees()
        self.assertEqual((ranked, files), ([(b"word", 55)], 20))

    def test_a_deep_tree_and_a_wide_one(self):
        self.write("/".join(["deep"] * 300) + "/file", b"down here")
        for number in range(5000):
            self.write(f"wide/{number}", b"word %d" % number)
        ranked, words, files, _ = self.agrees()
        self.assertEqual((ranked[0], words, files), ((b"word", 5000), 10_002, 5001))

    def test_only_regular_files_count(self):
        outside = tempfile.mkdtemp(prefix="word_count_test.")
        self.addCleanup(shutil.rmtree, outside)
        Path(outside, "file").write_bytes(b"not of this tree")
        self.write("folder/file", b"one word more")
        os.link(self.tree / "folder/file", self.tree / "hard_link")  # is a file like any other
        os.symlink("folder/file", self.tree / "link_to_file")
        os.symlink("folder", self.tree / "link_to_folder")
        os.symlink(outside, self.tree / "link_out")
        os.symlink(".", self.tree / "loop")
        os.symlink("..", self.tree / "folder/loop")
        os.symlink("itself", self.tree / "itself")
        os.symlink("nowhere", self.tree / "dangling")
        os.mkfifo(self.tree / "pipe")  # opening it would wait for ever
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(self.tree / "socket"))
            self.assertEqual(self.agrees()[1:], (6, 2, 26))

    def test_text_of_the_system(self):
        for tree in ("/usr/share/common-licenses", "/usr/include/linux"):
            if os.path.isdir(tree):
                ranked, *_ = self.agrees(tree)
                texts = (Path(os.fsdecode(path)).read_bytes() for path in files_below(tree))
                self.assertEqual(ranked, ranking(texts, 10))

    # ---- trees that cannot, or not as a whole: it goes on, names what it left out, and fails

    def test_a_root_that_is_not_there(self):
        ranked, words, files, _, errors = self.count(self.tree / "nothing", status=1)
        self.assertEqual((ranked, words, files), ([], 0, 0))
        self.assertEqual(errors[0], b"word_count: %s/nothing: No such file or directory"
                         % os.fsencode(self.tree))

    def test_a_root_that_is_a_link_is_not_followed(self):
        self.write("folder/file", b"some words")
        os.symlink("folder", self.tree / "link")
        self.assertEqual(self.count(self.tree / "link", status=1)[1], 0)
        self.assertEqual(coreutils(self.tree / "link"), 0)
        self.assertEqual(self.count(f"{self.tree}/link/")[1], 2)

    def test_unreadable_files_and_folders_are_named(self):
        self.write("good/file", b"these can be read")
        self.write("secret_file", b"this cannot")
        self.write("secret_folder/file", b"nor this")
        self.tree.chmod(0o755)
        os.chmod(self.tree / "secret_file", 0)
        os.chmod(self.tree / "secret_folder", 0)
        self.addCleanup(os.chmod, self.tree / "secret_folder", 0o700)
        options = {}
        if os.getuid() == 0:  # who can read it all: run as somebody else, who may run the program
            options = NOBODY
            try:
                program.run("word_count", "--help", **options)
            except PermissionError:
                self.skipTest("the program cannot be run by another user")
        for workers in program.WORLDS:
            _, words, files, _, errors = self.count(status=1, workers=workers, **options)
            self.assertEqual((words, files), (4, 1))
            self.assertEqual(sorted(errors), [
                b"word_count: %s/%s: Permission denied" % (os.fsencode(self.tree), name)
                for name in (b"secret_file", b"secret_folder")] + [errors[-1]])
            self.assertEqual(errors[-1], b"word_count: 2 could not be read")

    def test_a_read_that_fails_is_named(self):
        if not os.access("/proc/self/mem", os.R_OK):
            self.skipTest("no /proc")
        *_, errors = self.count("/proc/self/mem", status=1)
        self.assertEqual(errors[0], b"word_count: /proc/self/mem: Input/output error")

    def test_paths_that_are_too_long_are_named(self):
        self.write("good", b"this can be read")
        folder = os.open(self.tree, os.O_RDONLY)
        for _ in range(30):  # past PATH_MAX, which only one who descends step by step can reach
            os.mkdir("d" * 200, dir_fd=folder)
            inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        os.close(folder)
        _, words, _, _, errors = self.count(status=1)
        self.assertEqual(words, coreutils(self.tree))
        self.assertIn(b"d: File name too long", errors[0])
        self.assertEqual(len(errors), 2)

    def test_files_that_vanish_under_way(self):
        for attempt in range(5):
            for number in range(2000):
                self.write(f"stays/{number % 20}/{number}", b"here to stay")
                self.write(f"goes/{number % 20}/{number}", b"soon gone")
            doomed = [self.tree / "goes" / str(n) for n in range(20)]
            deleter = threading.Thread(target=lambda: [shutil.rmtree(path) for path in doomed])
            deleter.start()
            done = program.run("word_count", self.tree, workers=1 + attempt % 3)
            deleter.join()
            gone = done.stderr.splitlines()
            self.assertEqual(done.returncode, 1 if gone else 0)
            for line in gone[:-1]:
                self.assertRegex(line, rb"/goes/\d+(/\d+)?: No such file or directory\Z")
            words = int(done.stdout.splitlines()[-1].split()[0])
            self.assertIn(words - 3 * 2000, range(0, 2 * 2000 + 1, 2))

    # ---- memory

    def test_memory_does_not_grow_with_the_files(self):
        if program.SANITIZE:
            self.skipTest("sanitizers keep what is freed")
        with open(self.tree / "sparse", "wb") as file:  # one word of half a gigabyte
            file.truncate(500_000_000)
            file.seek(0, os.SEEK_END)
            file.write(b"end of word")
        line = b"the same few words on each line\n"
        self.write("text", line * (100_000_000 // len(line)))
        # A process is charged with the memory of the one that it was forked from: here a small one.
        measure = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:]);"
                   "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        command = [sys.executable, "-c", measure, program.FOLDER / "word_count", self.tree]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=program.TIMEOUT_S)
        totals, peak_kib = done.stdout.splitlines()[-2:]
        self.assertEqual(totals.split()[0], b"%d" % (7 * (100_000_000 // len(line)) + 3))
        self.assertLess(int(peak_kib), 64 * 1024)


if __name__ == "__main__":
    unittest.main(verbosity=2)
