#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# tidy_test: a small house in order has no complaints; each violation planted in it is found, at its
# line, and alone.
import tempfile
import unittest
from pathlib import Path

from tidy import Tidy

SPDX = "// SPDX-License-Identifier: BSL-1.0\n"
HASH_SPDX = "# SPDX-License-Identifier: BSL-1.0\n"


def header(body, about="// thing: what it is.\n"):
    return f"{SPDX}{about}#pragma once\n{body}"


def source(body):
    return f"{SPDX}// thing: what it does.\n{body}"


# The body of a header or source starts in line 4 or 3.
HOUSE = {
    "heddle.hpp": header("#include <heddle/sync/channel.hpp>\n"),
    "base/CMakeLists.txt": HASH_SPDX + "# base\n"
    "heddle_room(base DETAIL lock.hpp SOURCES lock.cpp)\n",
    "base/lock.hpp": header(
        "#include <atomic>\n"
        "class lock {\n"
        "  void open() {\n"
        "    // (lk.1) release: what was written under the lock is seen by the next one;\n"
        "    // pairs with (lk.2).\n"
        "    held_.store(false, std::memory_order_release);\n"
        "  }\n"
        "  std::atomic<bool> held_{false};\n"
        "};\n"),
    "base/lock.cpp": source(
        "#include <heddle/base/lock.hpp>\n"
        "\n"
        "#include <sys/mman.h>\n"
        "bool lock::try_lock() {\n"
        "  // (lk.2) acquire: sees what was written before (lk.1); pairs with (lk.1).\n"
        "  return !held_.exchange(true, std::memory_order_acquire);\n"
        "}\n"
        "bool lock::held() { return held_.load(std::memory_order_relaxed); }\n"),
    "sync/CMakeLists.txt": HASH_SPDX + "# sync\nheddle_room(sync PUBLIC channel.hpp)\n",
    "sync/channel.hpp": header("#include <heddle/base/lock.hpp>\n"),
    "examples/hello.cpp": source("#include <heddle/heddle.hpp>\n"),
    "bench/switch.cpp": source('#include "world.hpp"\n#include <boost/context/fcontext.hpp>\n'),
    "bench/world.hpp": header("#include <heddle/heddle.hpp>\n"),
    "tests/lock_test.cpp": source("#include <heddle/base/lock.hpp>\n#include <gtest/gtest.h>\n"),
}


def tidy(**changes):
    """What tidy says of the house with files put in, replaced, or (None) taken out."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {**HOUSE, **changes.get("files", {})}.items():
            if text is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
        return [f"{name}:{line}: {what}: {advice}" for name, line, what, advice in Tidy(root).run()]


def base(body):
    """The house with this in one more source of base/."""
    return {"base/CMakeLists.txt": HOUSE["base/CMakeLists.txt"].replace(".cpp", ".cpp more.cpp"),
            "base/more.cpp": source(body)}


class TidyTest(unittest.TestCase):
    def expect(self, files, *beginnings):
        found = tidy(files=files)
        self.assertEqual(len(found), len(beginnings), found)
        for line, beginning in zip(found, beginnings):
            self.assertTrue(line.startswith(beginning), f"{line!r} is not {beginning!r}")

    def test_the_house_is_in_order(self):
        self.expect({})

    def test_heads(self):
        self.expect({"base/lock.cpp": "// lock\n" + HOUSE["base/lock.cpp"]},
                    "base/lock.cpp:1: no SPDX line")
        self.expect(base("").copy() | {"base/more.cpp": SPDX + "\nint x;\n"},
                    "base/more.cpp:2: no description")
        self.expect({"sync/channel.hpp": header("", "// a line\n" * 31)},
                    "sync/channel.hpp:32: the file's head has 31 lines")
        self.expect({"sync/channel.hpp": SPDX + "// channel\n\nint x;\n"},
                    "sync/channel.hpp:3: no #pragma once")
        self.expect({"tools/run": "#!/bin/sh\necho\n"}, "tools/run:2: no SPDX line")
        self.expect({"cmake/a.cmake": HASH_SPDX + "# what it is\n"})

    def test_shape(self):
        self.expect(base("int x;" + " " * 94 + "x\n"), "base/more.cpp:3: 101 columns")
        self.expect(base("// " + "é" * 97 + "\n"))
        self.expect(base("// see https://" + "x" * 100 + "\n"))
        self.expect(base("\tint x;\n"), "base/more.cpp:3: a tab")
        self.expect(base("// TO" "DO: think\n"), "base/more.cpp:3: TO" "DO")
        self.expect(base("int x;\n" * 399), "base/more.cpp:401: 401 lines")

    def test_arrows_point_down(self):
        self.expect(base("#include <heddle/sync/channel.hpp>\n"),
                    "base/more.cpp:3: base/ includes <heddle/sync/channel.hpp>, which lies above")
        self.expect(base("#include <heddle/heddle.hpp>\n"),
                    "base/more.cpp:3: base/ includes <heddle/heddle.hpp>, which lies above")
        self.expect(base("#include <boost/context/fiber.hpp>\n"),
                    "base/more.cpp:3: includes <boost/")
        self.expect({"sync/channel.hpp": header("#include <boost/context/fiber.hpp>\n")},
                    "sync/channel.hpp:4: includes <boost/")
        self.expect({"fiber/CMakeLists.txt": HASH_SPDX + "# f\nheddle_room(fiber SOURCES a.cpp)\n",
                     "fiber/a.cpp": source("#include <boost/context/detail/fcontext.hpp>\n")})
        self.expect(base("#include <fmt/core.h>\n"), "base/more.cpp:3: includes <fmt/core.h>: std")
        self.expect({"bench/b.cpp": source("#include <heddle/base/lock.hpp>\n")},
                    "bench/b.cpp:3: <heddle/base/lock.hpp> is not public")
        self.expect({"examples/b.cpp": source("#include <boost/context/fiber.hpp>\n")},
                    "examples/b.cpp:3: includes <boost/")

    def test_headers_have_one_name(self):
        self.expect(base('#include "lock.hpp"\n'), 'base/more.cpp:3: includes "lock.hpp"')
        for name in "../base/lock.hpp", "base/lock.hpp", "lock.hpp":
            self.expect({"tests/b.cpp": source(f'#include "{name}"\n')},
                        f'tests/b.cpp:3: includes "{name}"')
        self.expect(base("#include <heddle/base/nothing.hpp>\n"),
                    "base/more.cpp:3: <heddle/base/nothing.hpp> does not exist")

    def test_lists(self):
        self.expect({"base/more.cpp": source("")}, "base/more.cpp:1: in no list")
        self.expect({"sync/channel.hpp": None, "heddle.hpp": header("")},
                    "heddle.hpp:1: does not include <heddle/sync/channel.hpp>",
                    "sync/CMakeLists.txt:1: names channel.hpp, which does not exist")
        self.expect({"heddle.hpp": header("")}, "heddle.hpp:1: does not include <heddle/sync/")
        self.expect({"heddle.hpp": HOUSE["heddle.hpp"] + "#include <heddle/base/lock.hpp>\n"},
                    "heddle.hpp:5: <heddle/base/lock.hpp> is not public")

    def test_orders_are_named(self):
        self.expect(base("auto f() { return x.load(); }\n"), "base/more.cpp:3: x.load names no")
        self.expect(base("auto f() { x->compare_exchange_strong(\n a, (b)); }\n"),
                    "base/more.cpp:3: x.compare_exchange_strong names no")
        self.expect(base("std::atomic<int> n_;\nvoid f() { n_ = 1; }\n"),
                    "base/more.cpp:4: `n_ =`")
        self.expect(base("atomic<int> n_;\nstruct other {\n  int n_ = 0;\n};\n"))
        self.expect(base("atomic<int> n_;\nvoid f() { if (x < n_++) g(); }\n"),
                    "base/more.cpp:4: `n_++`")
        self.expect(base("atomic<bool> b_{false};\nvoid f() { if (!b_) g(); }\n"),
                    "base/more.cpp:4: `!b_`")
        self.expect(base("atomic<bool> b{false};\nbool f() { return p->b; }\n"),
                    "base/more.cpp:4: `return p->b;`")
        self.expect(base("void f() { h_.exchange(1); }\natomic<int> h_;\n"),
                    "base/more.cpp:3: h_.exchange names no")
        self.expect(base("void f() { list.clear(); x.exchange(y); }\n"))
        self.expect(base('// x.load() here\nauto s = "x.load()";\n'))

    def test_tags_exist(self):
        store = "x.store(1, std::memory_order_release);\n"
        self.expect(base(store), "base/more.cpp:3: release without a tag")
        self.expect(base("x.store(1, std::memory_order::seq_cst);\n"),
                    "base/more.cpp:3: seq_cst without a tag")
        self.expect(base("// (a.1) release: far; pairs with (a.2).\n" + "\n" * 6 + store +
                         "// (a.2) acquire: y; pairs with (a.1).\n"),
                    "base/more.cpp:10: release without a tag")
        self.expect(base("// (a.1) acquire: y; pairs with (a.2).\n" + store +
                         "\n// (a.2) acquire: y; pairs with (a.1).\n"),
                    "base/more.cpp:4: release, but (a.1) says acquire")
        self.expect(base("// (a.1) acq_rel: y; pairs with (a.2).\n" + store +
                         "\n// (a.2) acquire: y; pairs with (a.1).\n"))
        self.expect(base("// This comment only speaks of (lk.1).\n" + store),
                    "base/more.cpp:4: release without a tag")

    def test_tags_answer(self):
        one = "// (a.1) release: why; pairs with (a.2).\nx.store(1, std::memory_order_release);\n"
        two = "// (a.2) acquire: reason; pairs with (a.1).\nx.load(std::memory_order_acquire);\n"
        self.expect(base(one + two))
        self.expect(base(one), "base/more.cpp:3: (a.1) pairs with (a.2), which does not exist")
        self.expect(base(one + two.replace("(a.1)", "(lk.1)")),
                    "base/more.cpp:3: (a.2) does not answer (a.1)",
                    "base/more.cpp:5: (lk.1) does not answer (a.2)")
        self.expect(base(one + two.replace("; pairs with (a.1)", "")),
                    "base/more.cpp:3: (a.2) does not answer (a.1)",
                    "base/more.cpp:5: (a.2) names no partner")
        self.expect(base(one + two + one), "base/more.cpp:7: (a.1) is taken by base/more.cpp:3")
        three = one.replace("(a.1)", "(a.3)")
        both = two.replace("(a.1)", "(a.1) and (a.3)")
        self.expect(base(one + both + three))
        self.expect(base(one + both.replace(" and", ",") + three))

    def test_threads(self):
        self.expect(base("thread_local int x;\n"), "base/more.cpp:3: thread_local without a reason")
        permit = "// thread_local: read only by the worker's home stack.\n"
        self.expect(base(permit + "thread_local int x;\n"))
        self.expect(base(permit + "thread_local int x;\n" + permit + "thread_local int y;\n"),
                    "base/more.cpp:6: a second thread_local")
        self.expect(base("std::mutex m_;\n"), "base/more.cpp:3: os-lock without a reason")
        self.expect(base("std::condition_variable_any c_;\n"), "base/more.cpp:3: os-lock")
        self.expect(base("// os-lock: only the pool's own threads wait here.\nstd::mutex m_;\n"))
        self.expect(base("void f() { std::unique_lock<std::mutex> held(m); }\n"))
        self.expect({"tests/b.cpp": source("std::mutex m;\nthread_local int x;\n")})


if __name__ == "__main__":
    unittest.main()
