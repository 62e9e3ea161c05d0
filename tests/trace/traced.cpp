// SPDX-License-Identifier: BSL-1.0
// traced: for trace_test.py: a program in which all that a trace tells of happens.
//   traced FILE       by trace::start() and stop(), twice; the second time to FILE
//   traced            by HEDDLE_TRACE
//   traced churn N    N traces, begun and ended by a thread while fibers switch, start and end
//   traced late FILE  one is woken by one who goes on for long
//   traced errors     what start() and stop() refuse
#include <heddle/heddle.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

using namespace std::chrono_literals;

namespace {

void work() {
  heddle::channel<int> balls(0), back(0);
  heddle::mutex door;
  heddle::fiber pong({.name = "pong \"\\\n\xC3\xA9"}, [&] {
    while (const auto ball = balls.receive()) back.send(*ball);
  });
  for (int i = 0; i < 50; ++i) {
    balls.send(i);
    (void)back.receive();
    if (i % 10 == 0) heddle::this_fiber::sleep_for(1ms);
  }
  balls.close();
  pong.join();

  heddle::wait_group all;
  for (int i = 0; i < 10; ++i) {
    all.go([&] {
      const std::lock_guard hold(door);
      heddle::this_fiber::sleep_for(300us);
      const auto end = std::chrono::steady_clock::now() + 200us;
      while (std::chrono::steady_clock::now() < end) {
      }
      heddle::this_fiber::yield();
    });
  }
  all.wait();
  heddle::event told;
  const heddle::runtime& here = *heddle::runtime::current();
  std::thread outside([&, before = here.stats().parks] {
    while (here.stats().parks == before) std::this_thread::yield();
    told.set();
  });
  told.wait();
  outside.join();
}

void churn(const std::string& file, int times) {
  heddle::runtime rt({.workers = 2});
  std::atomic<bool> over{false};
  heddle::event done;
  rt.go([&] {
    while (!over) work();
    done.set();
  });
  for (int i = 0; i < times; ++i) {
    heddle::trace::start(file);
    if (i % 3 != 0) std::this_thread::sleep_for(1ms);
    heddle::trace::stop();
  }
  over = true;
  done.wait();
}

/// One is woken, runs elsewhere, and waits for ever; the waker goes on for long.
void wake_and_go_on(const std::string& file) {
  heddle::run({.workers = 2}, [&] {
    heddle::event first, never;
    heddle::latch over(1);
    // No whole characters: half of a pair, too long, beyond all.
    heddle::fiber woken({.name = "late \xED\xA0\x80 \xC0\x80 \xF7\xBF\xBF\xBF and more than 16"},
                        [&] {
                          first.wait();
                          over.count_down();
                          never.wait();
                        });
    heddle::this_fiber::sleep_for(5ms);
    heddle::trace::start(file);
    first.set();
    while (!over.try_wait()) {
    }
    const auto end = std::chrono::steady_clock::now() + 50ms;
    while (std::chrono::steady_clock::now() < end) {
    }
    heddle::trace::stop();
    never.set();
  });
}

int errors() {
  const auto said = [](auto f) {
    try {
      f();
      std::puts("nothing");
    } catch (const std::system_error& e) {
      std::printf("%s\n", e.what());
    }
  };
  heddle::trace::stop();
  said([] { heddle::trace::start("/nonexistent/trace.json"); });
  heddle::trace::start("/dev/full");
  said([] { heddle::trace::start("/dev/null"); });
  heddle::run({.workers = 1}, work);
  said([] { heddle::trace::stop(); });
  said([] { heddle::trace::stop(); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == "errors") return errors();
  if (first == "late") {
    wake_and_go_on(argv[2]);
    return 0;
  }
  if (first == "churn") {
    churn(argv[3], std::atoi(argv[2]));
  } else {
    heddle::run({.workers = 2}, [&] {
      if (!first.empty()) {
        heddle::trace::start(argv[1] + std::string(".first"));
        heddle::this_fiber::sleep_for(1ms);
        heddle::trace::stop();
        heddle::trace::start(argv[1]);
      }
      work();
      if (!first.empty()) heddle::trace::stop();
    });
  }
}
