// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/heddle.hpp>

#include <atomic>
#include <cstdio>
#include <functional>
#include <mutex>
#include <new>
#include <regex>
#include <shared_mutex>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;

std::string dumped() {
  std::ostringstream out;
  heddle::dump(out);
  return out.str();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string at(const void* object) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", object);
  return text;
}

/// The paragraph of a dump that tells of the fiber with this name.
std::string told_of(const std::string& name) {
  std::istringstream all(dumped());
  std::string line, paragraph;
  while (std::getline(all, line)) {
    if (line.empty()) {
      if (contains(paragraph, "'" + name + "'")) return paragraph;
      paragraph.clear();
    } else {
      paragraph += line + "\n";
    }
  }
  return contains(paragraph, "'" + name + "'") ? paragraph : "";
}

/// Whether the dump comes to say this of the fiber with this name.
bool comes_to_say(const std::string& name, const std::string& part) {
  const bool said = eventually([&] { return contains(told_of(name), part); });
  if (!said) ADD_FAILURE() << "'" << part << "' is not in:\n" << dumped();
  return said;
}

// Functions with names that a trace can tell.
[[gnu::noinline]] void wait_in_here(heddle::channel<int> c) {
  (void)c.receive();
  asm volatile("");
}
[[gnu::noinline]] void call_deeper(heddle::channel<int> c) {
  wait_in_here(std::move(c));
  asm volatile("");
}
template <class F>
[[gnu::noinline]] void by_name(F f) {
  f();
  asm volatile("");
}
[[gnu::noinline]] void start_one_here(heddle::wait_group& over, heddle::channel<int> c) {
  over.add();
  heddle::go({.name = "started there"}, [&over, c] {
    call_deeper(c);
    over.done();
  });
  asm volatile("");
}

HEDDLE_TEST(Dump, SaysWhatEachFiberWaitsFor) {
  heddle::mutex m, held_with_condition;
  heddle::timed_mutex tm;
  heddle::shared_mutex sm;
  heddle::condition_variable cv;
  heddle::condition_variable_any cva;
  heddle::counting_semaphore<> s(0);
  heddle::latch l(1);
  heddle::barrier b(2);
  heddle::promise<int> p;
  heddle::wait_group wg;
  heddle::event e;
  heddle::exchanger<int> x;
  heddle::channel<int> c, full(1);
  heddle::once_flag once;
  heddle::latch once_may_end(1);
  std::vector<heddle::fiber> fibers;
  const auto start = [&](const char* name, std::function<void()> f) {
    fibers.emplace_back(heddle::fiber_options{.name = name}, std::move(f));
  };
  ASSERT_TRUE(full.send(1));
  wg.add();
  m.lock();
  tm.lock();
  sm.lock();
  start("mutex", [&] { std::lock_guard hold(m); });
  start("timed_mutex", [&] {
    if (tm.try_lock_for(1h)) tm.unlock();
  });
  start("writer", [&] { std::lock_guard hold(sm); });
  start("reader", [&] { std::shared_lock hold(sm); });
  start("condition_variable", [&] {
    std::unique_lock hold(held_with_condition);
    cv.wait(hold);
  });
  start("condition_variable_any", [&] {
    std::unique_lock hold(held_with_condition);
    cva.wait(hold);
  });
  start("semaphore", [&] { s.acquire(); });
  start("latch", [&] { l.wait(); });
  start("barrier", [&] { b.arrive_and_wait(); });
  start("future", [f = p.get_future().share()] { (void)f.get(); });
  start("wait_group", [&] { wg.wait(); });
  start("event", [&] { e.wait(); });
  start("exchanger", [&] { (void)x.exchange(1); });
  start("receiver", [&] { (void)c.receive(); });
  start("sender", [&] { (void)full.send(2); });
  start("select", [&] {
    heddle::select(heddle::on_receive(c, [](std::optional<int>) {}), heddle::on_timeout(1h));
  });
  start("nil", [&] { (void)heddle::channel<int>(nullptr).receive(); });
  start("sleeper", [] { heddle::this_fiber::sleep_for(1h); });
  start("parent", [&] { heddle::gather([&] { l.wait(); }); });
  start("runs the call", [&] { heddle::call_once(once, [&] { once_may_end.wait(); }); });
  comes_to_say("runs the call", "waits at latch");
  start("once_flag", [&] { heddle::call_once(once, [] {}); });
  heddle::fiber joined({.name = "joined"}, [&] { l.wait(); });
  start("joiner", [&] { joined.join(); });
  start("blocking", [&] { heddle::blocking([&] { l.wait(); }); });

  comes_to_say("mutex", "waits to lock mutex " + at(&m) + " for ");
  comes_to_say("timed_mutex", "waits to lock mutex " + at(&tm) + " for ");
  comes_to_say("writer", "waits to lock shared_mutex " + at(&sm) + " for ");
  comes_to_say("reader", "waits to lock_shared shared_mutex " + at(&sm) + " for ");
  comes_to_say("condition_variable", "waits at condition_variable " + at(&cv) + " for ");
  comes_to_say("condition_variable_any", "waits at condition_variable_any ");
  comes_to_say("semaphore", "waits to acquire semaphore " + at(&s) + " for ");
  comes_to_say("latch", "waits at latch " + at(&l) + " for ");
  comes_to_say("barrier", "waits at barrier ");
  comes_to_say("future", "waits for the result of future ");
  comes_to_say("wait_group", "waits at wait_group " + at(&wg) + " for ");
  comes_to_say("event", "waits for event " + at(&e) + " for ");
  comes_to_say("exchanger", "waits for a partner at exchanger ");
  comes_to_say("receiver", "waits to receive from channel ");
  comes_to_say("sender", "waits to send to channel ");
  comes_to_say("select", "waits in a select for ");
  comes_to_say("nil", "waits at a nil channel, which is never ready");
  comes_to_say("sleeper", "waits in sleep_for or sleep_until for ");
  comes_to_say("parent", "waits for the children of group ");
  comes_to_say("once_flag", "waits for the call that runs under once_flag " + at(&once));
  comes_to_say("joiner", "waits for the end of fiber ");
  comes_to_say("blocking", "waits for the end of blocking() call 0x");

  l.count_down();
  once_may_end.count_down();
  m.unlock();
  tm.unlock();
  sm.unlock();
  for (auto& each : fibers) {
    // Most of them end when what they wait for comes; to cancel them all is shorter. A barrier and
    // the locks are no cancellation points.
    each.cancel();
  }
  b.arrive_and_drop();
  p.set_value(1);
  wg.done();
  fibers.clear();
}

HEDDLE_TEST(Dump, TracesTheStackAndWhereTheFiberWasStarted) {
  heddle::wait_group over;
  heddle::channel<int> c;
  start_one_here(over, c);
  ASSERT_TRUE(comes_to_say("started there", "waits to receive from channel"));
  const std::string told = told_of("started there");
  const auto here = told.find("wait_in_here"), deeper = told.find("call_deeper"),
             start = told.find("started by");
  EXPECT_NE(here, std::string::npos) << told;
  EXPECT_NE(deeper, std::string::npos) << told;
  ASSERT_NE(start, std::string::npos) << told;
  EXPECT_LT(here, deeper) << told;
  EXPECT_LT(deeper, start) << told;
  EXPECT_NE(told.find("start_one_here", start), std::string::npos) << told;
  // How heddle waits is nobody's concern: one line of it.
  EXPECT_TRUE(std::regex_search(told, std::regex("#1 [^\n]*wait_in_here"))) << told;
  c.close();
  over.wait();
}

// Whatever starts it: the place is in this file, not in heddle's.
HEDDLE_TEST(Dump, KnowsTheStartOfChildrenOfEveryKind) {
  heddle::event end;
  heddle::wait_group group;
  heddle::task_group children;
  const auto wait = [&] {
    heddle::this_fiber::set_name("child");
    end.wait();
  };
  const auto is_told = [&](std::size_t expected) {
    EXPECT_TRUE(eventually([&] {
      std::size_t waits = 0;
      const std::string all = dumped();
      for (std::size_t from = 0;
           (from = all.find("for event " + at(&end), from)) != std::string::npos; ++from) {
        ++waits;
      }
      return waits == expected;
    })) << dumped();
    const std::string all = dumped();
    EXPECT_EQ(all.find("started by heddle::"), std::string::npos) << all;
    EXPECT_EQ(all.find("started by void heddle::"), std::string::npos) << all;
  };
  group.go(wait);
  is_told(1);
  children.spawn(wait);
  is_told(2);
  auto result = heddle::async(wait);
  is_told(3);
  heddle::runtime::current()->go(wait);
  is_told(4);
  heddle::fiber by_gather([&] { by_name([&] { heddle::gather(wait); }); });
  is_told(5);
  heddle::fiber by_race([&] { by_name([&] { heddle::race(wait); }); });
  is_told(6);
  heddle::fiber by_loop(
      [&] { by_name([&] { heddle::parallel_for(0, 1, [&](int) { wait(); }); }); });
  is_told(7);
  end.set();
  group.wait();
  children.wait();
  result.wait();
}

HEDDLE_TEST(Dump, FoldsThoseThatAreAlike) {
  heddle::channel<int> c;
  heddle::task_group herd;
  const int many = tsan ? 150 : 1'500;  // it takes a millisecond to make a fiber
  for (int i = 0; i < many; ++i) herd.spawn([&] { wait_in_here(c); });
  const std::regex folded(std::string(tsan ? "150" : "1,500") +
                          " fibers alike: fiber \\d+, fiber \\d+, fiber \\d+, fiber \\d+ and "
                          "others wait to receive from "
                          "channel 0x[0-9a-f]+, the first for ");
  EXPECT_TRUE(eventually([&] { return std::regex_search(dumped(), folded); })) << dumped();
  EXPECT_LT(dumped().size(), 10'000u);
  c.close();
}

HEDDLE_TEST(Dump, TellsTheRareBeforeTheMany) {
  heddle::channel<int> c;
  heddle::event e;
  heddle::task_group herd;
  for (int i = 0; i < 10; ++i) herd.spawn([&] { wait_in_here(c); });
  heddle::fiber odd({.name = "odd"}, [&] { e.wait(); });
  EXPECT_TRUE(eventually([&] {
    const std::string all = dumped();
    const auto many = all.find("10 fibers alike"), one = all.find("'odd' waits");
    return many != std::string::npos && one != std::string::npos && one < many;
  })) << dumped();
  e.set();
  c.close();
}

TEST(Dump, TellsWhoRunsAndWhoHasNotRunYet) {
  heddle::run({.workers = 1}, [] {
    heddle::this_fiber::set_name("caller");
    heddle::fiber queued({.name = "queued"}, [] {});
    EXPECT_TRUE(contains(told_of("caller"), "'caller' runs\n")) << dumped();
    EXPECT_TRUE(contains(told_of("queued"), "'queued' has not run yet\n")) << dumped();
    heddle::fiber yields({.name = "yields"}, [] {
      while (!heddle::this_fiber::get_stop_token().stop_requested()) heddle::this_fiber::yield();
    });
    heddle::this_fiber::yield();
    heddle::this_fiber::yield();
    EXPECT_TRUE(comes_to_say("yields", "'yields' is ready to run\n"));
  });
}

[[gnu::noinline]] void compute_in_here(const std::atomic<bool>& end) {
  while (!end.load(std::memory_order_relaxed)) asm volatile("");
  asm volatile("");
}

TEST(Dump, TracesOneThatRuns) {
  if (tsan) GTEST_SKIP() << "ThreadSanitizer puts signals off until the next call that it knows";
  heddle::runtime rt({.workers = 2});
  std::atomic<bool> end{false};
  rt.go([&] {
    heddle::this_fiber::set_name("computes");
    compute_in_here(end);
  });
  EXPECT_TRUE(comes_to_say("computes", "compute_in_here"));
  const std::string told = told_of("computes");
  EXPECT_TRUE(contains(told, "'computes' runs\n    #0 ")) << told;
  EXPECT_TRUE(contains(told, "started by ")) << told;
  end.store(true, std::memory_order_relaxed);
}

TEST(Dump, KnowsSinceWhenAFiberWaits) {
  heddle::run({.workers = 1}, [] {
    heddle::event e;
    heddle::fiber waits({.name = "waits"}, [&] { e.wait(); });
    heddle::this_fiber::sleep_for(300ms);  // real time is what is told
    const std::string told = told_of("waits");
    std::smatch found;
    ASSERT_TRUE(std::regex_search(told, found, std::regex(" for ([0-9.]+) s\n"))) << told;
    EXPECT_GE(std::stod(found[1]), 0.25) << told;
    EXPECT_LT(std::stod(found[1]), 10) << told;
    e.set();
  });
}

TEST(Dump, OfNoRuntimeIsEmpty) {
  // The default runtime may be there, and other tests' are gone.
  EXPECT_TRUE(dumped().starts_with("heddle: 0 fibers on ")) << dumped();
}

TEST(Dump, FromAPlainThreadOfSeveralRuntimes) {
  heddle::runtime one({.workers = 1}), two({.workers = 2});
  heddle::event e;
  one.go([&] {
    heddle::this_fiber::set_name("in one");
    e.wait();
  });
  two.go([&] {
    heddle::this_fiber::set_name("in two");
    e.wait();
  });
  EXPECT_TRUE(comes_to_say("in one", "waits for event " + at(&e)));
  EXPECT_TRUE(comes_to_say("in two", "waits for event " + at(&e)));
  e.set();
}

// What is looked at must stay what it is: fibers that switch, start and end all the time, while
// several look on.
HEDDLE_TEST(Dump, WhileEverythingRuns) {
  std::atomic<bool> over{false};
  std::vector<std::thread> observers;
  for (int i = 0; i < 2; ++i) {
    observers.emplace_back([&] {
      while (!over.load()) (void)dumped();
    });
  }
  heddle::channel<std::size_t> ping, pong;
  heddle::fiber answers([&] {
    for (const std::size_t v : ping) (void)pong.send(v + 1);
  });
  heddle::mutex m;
  std::size_t sum = 0;
  const time_limit limit;
  const std::size_t n = rounds(20'000);
  std::size_t done = 0;
  for (; done < n && !limit.over(); ++done) {
    ASSERT_TRUE(ping.send(done));
    ASSERT_EQ(pong.receive(), done + 1);
    if (done % 16 != 0) continue;
    heddle::task_group g;
    for (int i = 0; i < 8; ++i) {
      g.spawn([&] {
        const std::lock_guard hold(m);
        heddle::this_fiber::yield();
        ++sum;
      });
    }
    g.wait();
  }
  ping.close();
  over.store(true);
  heddle::blocking([&] {
    for (auto& each : observers) each.join();
  });
  EXPECT_EQ(sum, (done + 15) / 16 * 8);
}

TEST(Dump, WhileRuntimesComeAndGo) {
  std::atomic<bool> over{false};
  std::thread observer([&] {
    while (!over.load()) (void)dumped();
  });
  for (std::size_t i = 0; i < rounds(200); ++i) {
    heddle::run({.workers = 2}, [] {
      heddle::gather([] { heddle::this_fiber::yield(); }, [] { heddle::this_fiber::yield(); });
    });
  }
  over.store(true);
  observer.join();
}

}  // namespace
