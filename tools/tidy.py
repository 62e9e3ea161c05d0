#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# tidy: the rules of the house that a program can check. Prints file:line: what: what to do; exit
# status 1 if it found anything.
#   tools/tidy.py [TREE]     by default the tree that it stands in
#
# The rules, each a function below:
#   heads       the SPDX line, then (tests speak by their names) a description of at most 30 lines;
#               `#pragma once` in headers
#   shape       100 columns, no tabs, no notes to be done later; 400 lines a C++ file of the library
#   includes    arrows point down only; <heddle/room/file.hpp>, never relative
#   lists       a room's CMakeLists.txt names every file; heddle.hpp includes the public headers
#   orders      an atomic operation names its memory order
#   tags        one that is not relaxed has a tag, whose partners exist and answer
#   threads     no unexplained thread_local, std::mutex or std::condition_variable in the rooms
#
# A tag stands in a comment in the six lines above its operation, or beside it:
#   // (rq.1) release: the slot above is visible to whoever reads this tail; pairs with (rq.4).
# Two more comments open a door: `// thread_local: why` and `// os-lock: why`, up to three lines
# above.
import re
import sys
from pathlib import Path

# From the ground up: a room includes itself and what stands before it.
ROOMS = ["base", "fiber", "sched", "sync", "io", "debug"]
# How far above its operation a tag may stand, and a permit above what it permits.
TAG_LINES, PERMIT_LINES = 6, 3
COLUMNS, FILE_LINES, HEAD_LINES = 100, 400, 30


class Source:
    """A file: its lines; for C++ also the code without comments and strings, and the comments."""

    def __init__(self, root, path):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.folder = self.name.split("/")[0] if "/" in self.name else ""
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        self.is_cpp = path.suffix in (".hpp", ".cpp")
        if self.is_cpp:
            code, comments = split_cpp(self.text)
            self.code, self.comments = code.splitlines(), comments.splitlines()


CPP_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<string>R"(?P<end>[^(\s]*)\(.*?\)(?P=end)"|"(?:\\.|[^"\\\n])*\""""
    r"""|(?<!\w)'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<include>^[ \t]*\#[ \t]*include[^\n]*)""", re.S | re.M)


def split_cpp(text):
    """Two texts of the same shape: one with comments and strings blanked, one with all else."""
    blank = lambda s: re.sub(r"[^\n]", " ", s)
    code, comments, at = [], [], 0
    for token in CPP_TOKEN.finditer(text):
        between, found = text[at:token.start()], token.group()
        code += [between, found if token["include"] else blank(found)]
        comments += [blank(between), found if token["comment"] else blank(found)]
        at = token.end()
    return "".join(code + [text[at:]]), "".join(comments + [blank(text[at:])])


def find_sources(root):
    """All that is ours: not what is built, hidden (but for .ci) or binary."""
    suffixes = {".hpp", ".cpp", ".py", ".sh", ".cmake"}
    for path in sorted(root.rglob("*")):
        not_ours = re.compile(r"build|__pycache__|\.(?!ci$)")
        if any(map(not_ours.match, path.relative_to(root).parts)):
            continue
        if not path.is_file() or path.is_symlink():
            continue
        script = not path.suffix and path.read_bytes()[:2] == b"#!"
        if path.suffix in suffixes or path.name in ("CMakeLists.txt", "Makefile") or script:
            yield Source(root, path)


class Tidy:
    def __init__(self, root):
        self.root = root
        self.found = []
        self.sources = list(find_sources(root))
        self.in_rooms = [s for s in self.sources if s.is_cpp and s.folder in ROOMS]
        self.by_name = {s.name: s for s in self.sources}
        self.lists = {room: self.room_list(room) for room in ROOMS}

    def complain(self, source, line, what, advice):
        name = source if isinstance(source, str) else source.name
        self.found.append((name, line, what, advice))

    def room_list(self, room):
        """What heddle_room() names: {"PUBLIC": [...], "DETAIL": [...], "SOURCES": [...]}."""
        lists = {"PUBLIC": [], "DETAIL": [], "SOURCES": []}
        source = self.by_name.get(f"{room}/CMakeLists.txt")
        if source is None:
            return None
        text = re.sub(r"#.*", "", source.text)
        call = re.search(r"heddle_room\(\s*\w+([^)]*)\)", text)
        where = None
        for word in call.group(1).split() if call else []:
            if word in lists:
                where = word
            elif where:
                lists[where].append(word)
        return lists

    def public_headers(self):
        return [f"{room}/{name}" for room, lists in self.lists.items() if lists
                for name in lists["PUBLIC"]]

    # ---- heads and shape

    def check_heads(self):
        for s in self.sources:
            mark = "//" if s.is_cpp else "#"
            at = 1 if s.lines and s.lines[0].startswith("#!") else 0
            if s.lines[at:at + 1] != [f"{mark} SPDX-License-Identifier: BSL-1.0"]:
                self.complain(s, at + 1, "no SPDX line",
                              f"write `{mark} SPDX-License-Identifier: BSL-1.0` here")
                continue
            head = 0
            while at + 1 + head < len(s.lines) and s.lines[at + 1 + head].startswith(mark):
                head += 1
            if s.path.suffix == ".hpp" and s.lines[at + 1 + head:at + 2 + head] != ["#pragma once"]:
                self.complain(s, at + 2 + head, "no #pragma once below the file's head",
                              "a header starts: SPDX line, description, #pragma once")
            is_test = s.path.stem.endswith("_test")
            if not is_test and (head == 0 or (head == 1 and s.lines[at + 1] == mark)):
                self.complain(s, at + 2, "no description",
                              "say below the SPDX line what this file is")
            if head > HEAD_LINES:
                self.complain(s, at + 2 + HEAD_LINES, f"the file's head has {head} lines",
                              f"at most {HEAD_LINES}: the rest belongs beside the code")

    def check_shape(self):
        later = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
        for s in self.sources:
            for number, line in enumerate(s.lines, 1):
                if len(line) > COLUMNS and "://" not in line and s.folder != "tests":
                    self.complain(s, number, f"{len(line)} columns", f"break it at {COLUMNS}")
                if "\t" in line and s.path.name != "Makefile":
                    self.complain(s, number, "a tab", "indent with spaces")
                if later.search(line):
                    self.complain(s, number, f"{later.search(line).group()}",
                                  "do it now, or open an issue")
            if s.folder in ROOMS and s.is_cpp and len(s.lines) > FILE_LINES:
                self.complain(s, FILE_LINES + 1, f"{len(s.lines)} lines",
                              f"past {FILE_LINES} look for the second subject, and move it out")

    # ---- includes and lists

    INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

    def check_includes(self):
        public = set(self.public_headers()) | {"heddle.hpp"}
        for s in self.sources:
            for number, line in enumerate(s.code if s.is_cpp else [], 1):
                include = self.INCLUDE.match(line)
                if include:
                    self.check_include(s, number, include[2], include[1] == '"', public)

    def check_include(self, s, number, what, quoted, public):
        complain = lambda *message: self.complain(s, number, *message)
        room = s.folder if s.folder in ROOMS else None
        if quoted:
            # Tests and benchmarks have headers of their own.
            if room or not s.folder or ".." in what or (self.root / what).exists() or any(
                    (self.root / r / what).exists() for r in ROOMS):
                complain(f'includes "{what}"', "write <heddle/room/file.hpp>")
            return
        top, _, rest = what.partition("/")
        if top == "heddle":
            if rest not in self.by_name:
                complain(f"<{what}> does not exist", "see the folders for what there is")
            target = rest.split("/")[0]
            if room and target not in ROOMS[:ROOMS.index(room) + 1]:
                complain(f"{room}/ includes <{what}>, which lies above it",
                         "arrows point down: move what is needed to a lower room, or turn it round")
            if s.folder in ("examples", "bench") and rest not in public:
                complain(f"<{what}> is not public", f"{s.folder}/ sees what any user sees")
            if s.name == "heddle.hpp" and rest not in public:
                complain(f"<{what}> is not public", "name it under PUBLIC in its room, or drop it")
        elif top == "boost":
            if room not in (None, "fiber") or s.folder in ("", "examples"):
                complain(f"includes <{what}>", "Boost is for fiber/ alone (and for bench/)")
            elif not rest.startswith("context/") and not s.name.startswith("bench/rivals/"):
                complain(f"includes <{what}>", "of Boost, heddle uses Context alone")
        elif (room or s.folder in ("", "examples")) and rest and not re.match(
                r"(sys|linux|arpa|net|netinet|asm|bits|sanitizer|valgrind)/", what):
            complain(f"includes <{what}>", "std, POSIX and Linux only")

    def check_lists(self):
        for room in ROOMS:
            lists = self.lists[room]
            if lists is None:
                continue
            cmake = f"{room}/CMakeLists.txt"
            named = [name for names in lists.values() for name in names]
            there = {s.path.name for s in self.in_rooms if s.folder == room}
            for name in sorted(there - set(named)):
                self.complain(f"{room}/{name}", 1, "in no list",
                              f"name it in {cmake}, under PUBLIC, DETAIL or SOURCES")
            for name in sorted(set(named) - there):
                self.complain(cmake, 1, f"names {name}, which does not exist", "take it out")
            for name in sorted({n for n in named if named.count(n) > 1}):
                self.complain(cmake, 1, f"names {name} twice", "public or detail: decide")
        contents = self.by_name.get("heddle.hpp")
        if contents:
            for name in self.public_headers():
                if f"#include <heddle/{name}>" not in contents.text:
                    self.complain(contents, 1, f"does not include <heddle/{name}>",
                                  "it is the table of contents of all PUBLIC headers")

    # ---- atomics

    # These names are only atomics' in the rooms; the second kind only on what was declared atomic.
    OPERATION = re.compile(r"(\w+)\s*(?:\[[^][]*\]\s*)?(?:\.|->)\s*(load|store|fetch_\w+|"
                           r"compare_exchange_\w+|test_and_set|exchange|clear|test)\s*\(")
    AMBIGUOUS = ("exchange", "clear", "test")
    DECLARATION = re.compile(r"\batomic(?:_flag|<[^;{}=]*>)\s+(\w+)\s*(?=[;{=\[(])")

    def check_orders(self):
        atomics = {}  # by subject: foo.hpp and foo.cpp are one
        for s in self.in_rooms:
            names = atomics.setdefault(s.name[:-4], set())
            names.update(m[1] for m in self.DECLARATION.finditer("\n".join(s.code)))
        everywhere = set().union(*atomics.values())
        all_code = "\n".join(line for s in self.in_rooms for line in s.code)
        for s in self.in_rooms:
            code = "\n".join(s.code)
            for m in self.OPERATION.finditer(code):
                if m[2] in self.AMBIGUOUS and m[1] not in everywhere:
                    continue
                arguments = code[m.end() - 1:balanced(code, m.end() - 1)]
                if "order" not in arguments:
                    self.complain(s, code.count("\n", 0, m.end()) + 1,
                                  f"{m[1]}.{m[2]} names no memory order", "name it")
            for name in atomics[s.name[:-4]]:
                # Members end in _ and are their file's own; a plain name may be a field of any.
                mine = name.endswith("_")
                if not self.plain_too(name, code if mine else all_code):
                    self.check_implicit(s, code, name)

    def plain_too(self, name, code):
        """Is something that is not atomic declared by this name?"""
        declared = rf"^(?!.*\batomic).*(?!return)\b\w+[>&*]*\s+{name}\s*[;={{]"
        return re.search(declared, code, re.M)

    def check_implicit(self, s, code, name):
        """x = 1, ++x, x += 1, if (x), !x, return x; on an atomic x: seq_cst, unsaid."""
        # A name without the underscore may be a local variable: only as a member then.
        n = rf"(?:\w+(?:\.|->)){'*' if name.endswith('_') else '+'}\b{name}\b"
        forms = [rf"(?:\+\+|--)\s*{n}", rf"{n}\s*(?:\+\+|--|[-+|&^]=|=(?!=))",
                 rf"!\s*{n}(?!\s*(?:\.|->|\[|\())", rf"(?:\bif|\bwhile)\s*\({n}\s*\)",
                 rf"\breturn\s+{n}\s*;"]
        for m in re.finditer("|".join(forms), code):
            line = code.count("\n", 0, m.end()) + 1
            if not self.DECLARATION.search(s.code[line - 1]):
                self.complain(s, line, f"`{m.group().strip()}` hides an atomic operation",
                              "call load, store or fetch_*, and name the order")

    TAG = re.compile(r"\(([a-z][a-z0-9_]*\.\d+)\)")
    ORDER = re.compile(r"memory_order(?:_|::)(acquire|release|acq_rel|seq_cst|consume)\b")

    def check_tags(self):
        defined = {}  # tag: (source, line, order, partners)
        for s in self.in_rooms:
            near = self.tags_of(s, defined)
            for number, code in enumerate(s.code, 1):
                for order in self.ORDER.findall(code):
                    tags = [t for line in range(number - TAG_LINES, number + 1)
                            for t in near.get(line, [])]
                    if not tags:
                        self.complain(s, number, f"{order} without a tag", "say above it: "
                                      f"`// (xy.1) {order}: reason; pairs with (xy.2).`")
                    elif not {order, "acq_rel" if order in ("acquire", "release") else order} & {
                            defined[t][2] for t in tags}:
                        self.complain(s, number, f"{order}, but ({tags[-1]}) says "
                                      f"{defined[tags[-1]][2]}", "let the two agree")
        for tag, (s, line, _, partners) in defined.items():
            if not partners:
                self.complain(s, line, f"({tag}) names no partner",
                              "end it with `pairs with (xy.2).`")
            for partner in partners:
                if partner not in defined:
                    self.complain(s, line, f"({tag}) pairs with ({partner}), which does not exist",
                                  "name the operation at the other end")
                elif tag not in defined[partner][3]:
                    where = defined[partner]
                    self.complain(s, line, f"({partner}) does not answer ({tag})",
                                  f"name it at {where[0].name}:{where[1]} too")

    def tags_of(self, s, defined):
        """Enters the tags that this file's comments define; returns {last line: [tags]}."""
        near, at = {}, 0
        while at < len(s.comments):
            first, text = at, ""
            while at < len(s.comments) and (comment := s.comments[at].strip().lstrip("/").strip()):
                text += comment + "\n"
                at += 1
                if s.code[at - 1].strip():  # beside code: goes on below only in a column of its own
                    break
            starts = list(re.finditer(rf"(?m)^{self.TAG.pattern} (\w+)", text))
            for m, following in zip(starts, starts[1:] + [None]):
                body = text[m.end():following.start() if following else len(text)]
                line = first + 1 + text.count("\n", 0, m.start())
                pairs = re.search(r"\b(?:pairs|pair)\s+with\b([^;]*)", body)
                partners = self.TAG.findall(pairs[1]) if pairs else []
                if m[1] in defined:
                    other = defined[m[1]]
                    self.complain(s, line, f"({m[1]}) is taken by {other[0].name}:{other[1]}",
                                  "one tag, one place: give it the next number")
                    continue
                defined[m[1]] = (s, line, m[2], partners)
                # The distance counts from the comment's end, however long it is.
                near.setdefault(first + text.count("\n"), []).append(m[1])
            at = max(at, first + 1)
        return near

    # ---- threads

    def check_threads(self):
        os_lock = re.compile(r"\bstd::(?:(?:recursive_|shared_)?(?:timed_)?mutex"
                             r"|condition_variable(?:_any)?)\s+\w|\bpthread_(?:mutex|cond)_t\b")
        for s in self.in_rooms:
            thread_locals = 0
            for number, code in enumerate(s.code, 1):
                if re.search(r"\bthread_local\b|\b__thread\b", code):
                    thread_locals += 1
                    if thread_locals > 1:
                        self.complain(s, number, "a second thread_local in this file",
                                      "one place, behind a function that is not inlined")
                    self.want_permit(s, number, "thread_local")
                if os_lock.search(code):
                    self.want_permit(s, number, "os-lock")

    def want_permit(self, s, number, word):
        above = s.comments[max(0, number - 1 - PERMIT_LINES):number]
        if not any(re.search(rf"\b{word}: \w", comment) for comment in above):
            self.complain(s, number, f"{word} without a reason",
                          f"say above it `// {word}: why it must be, and why it is safe`")

    def run(self):
        for rule in ("heads", "shape", "includes", "lists", "orders", "tags", "threads"):
            getattr(self, f"check_{rule}")()
        return sorted(self.found, key=lambda f: f[:2])


def balanced(text, at):
    """The place after the parenthesis that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    return len(text)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    found = Tidy(root).run()
    for name, line, what, advice in found:
        print(f"{name}:{line}: {what}: {advice}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
