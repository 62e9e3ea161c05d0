// SPDX-License-Identifier: BSL-1.0
// races: trap 16: built with ThreadSanitizer. `races planted NAME` has a data race on a word that
//   is reached through touch_planted() only; it must be reported. `races clean NAME` has none, and
//   must run without a report. `races list` names all.
#include <heddle/heddle.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

int planted_word = 0;

[[gnu::noinline]] void touch_planted() { planted_word = planted_word + 1; }

/// To order two fibers in time, without a happens-before that ThreadSanitizer could see.
class unseen_flag {
 public:
  void set() { now_.store(true, std::memory_order_relaxed); }
  void wait() const {
    while (!now_.load(std::memory_order_relaxed)) heddle::this_fiber::yield();
  }

 private:
  std::atomic<bool> now_{false};
};

void in(unsigned workers, void (*body)()) { heddle::run({.workers = workers}, body); }

// --- planted -------------------------------------------------------------------------------------

// The first touches before the second in time; nothing orders the two but the scheduler itself.
void two_fibers() {
  unseen_flag touched;
  heddle::wait_group all;
  all.go([&] {
    touch_planted();
    touched.set();
  });
  all.go([&] {
    touched.wait();
    touch_planted();
  });
  all.wait();
}
void two_fibers_on_one_worker() { in(1, &two_fibers); }
void two_fibers_on_two_workers() { in(2, &two_fibers); }

void two_fibers_that_yield() {
  in(1, [] {
    heddle::wait_group all;
    for (int f = 0; f < 2; ++f) {
      all.go([] {
        for (int i = 0; i < 10; ++i) {
          touch_planted();
          heddle::this_fiber::yield();
        }
      });
    }
    all.wait();
  });
}

// One follows the other on the same stack, without a jump.
void two_fibers_on_one_stack() {
  in(1, [] {
    for (int i = 0; i < 10; ++i) heddle::go(&touch_planted);
    unseen_flag over;
    heddle::go([&over] { over.set(); });
    over.wait();
  });
}

void write_after_send() {
  in(2, [] {
    heddle::channel<int*> c;
    heddle::fiber receiver([c] {
      c.receive();
      touch_planted();
    });
    c.send(&planted_word);
    touch_planted();
  });
}

void write_after_buffered_send() {
  in(1, [] {
    heddle::channel<int> c(4);
    heddle::fiber receiver([c] {
      c.receive();
      touch_planted();
    });
    c.send(1);
    touch_planted();
    receiver.join();
  });
}

void read_before_receive() {
  in(2, [] {
    heddle::channel<int> c;
    unseen_flag touched;
    heddle::fiber receiver([c, &touched] {
      touch_planted();
      touched.set();
      c.receive();
    });
    touched.wait();
    touch_planted();
    c.send(1);
  });
}

// A channel of two places lets two in at once.
void semaphore_of_two_as_a_lock() {
  in(1, [] {
    heddle::channel<int> places(2);
    heddle::wait_group all;
    for (int f = 0; f < 2; ++f) {
      all.go([places] {
        places.send(1);
        touch_planted();
        heddle::this_fiber::yield();
        places.receive();
      });
    }
    all.wait();
  });
}

void lost_lock() {
  in(1, [] {
    heddle::mutex m;
    heddle::wait_group all;
    all.go([&m] {
      const std::lock_guard hold(m);
      touch_planted();
    });
    all.go([] { touch_planted(); });
    all.wait();
  });
}

void two_different_locks() {
  in(2, [] {
    heddle::mutex one, two;
    unseen_flag touched;
    heddle::wait_group all;
    all.go([&] {
      const std::lock_guard hold(one);
      touch_planted();
      touched.set();
    });
    all.go([&] {
      touched.wait();
      const std::lock_guard hold(two);
      touch_planted();
    });
    all.wait();
  });
}

void write_after_unlock() {
  in(1, [] {
    heddle::mutex m;
    unseen_flag unlocked;
    heddle::wait_group all;
    all.go([&] {
      { const std::lock_guard hold(m); }
      touch_planted();
      unlocked.set();
    });
    all.go([&] {
      unlocked.wait();
      const std::lock_guard hold(m);
      touch_planted();
    });
    all.wait();
  });
}

void read_before_wait() {
  in(2, [] {
    unseen_flag touched;
    heddle::wait_group all;
    all.go([&] {
      touch_planted();
      touched.set();
    });
    touched.wait();
    touch_planted();
    all.wait();
  });
}

void read_before_join() {
  in(1, [] {
    unseen_flag touched;
    heddle::fiber child([&] {
      touch_planted();
      touched.set();
    });
    touched.wait();
    touch_planted();
    child.join();
  });
}

void write_after_spawn() {
  in(1, [] {
    heddle::fiber child(&touch_planted);
    touch_planted();
    child.join();
  });
}

void notified_without_the_lock() {
  in(1, [] {
    heddle::mutex m;
    heddle::condition_variable changed;
    bool waits = false;
    heddle::fiber waiter([&] {
      std::unique_lock hold(m);
      waits = true;
      changed.wait_for(hold, 1h);
      touch_planted();
    });
    for (bool seen = false; !seen; heddle::this_fiber::yield()) {
      const std::lock_guard hold(m);
      seen = waits;
    }
    changed.notify_one();
    touch_planted();  // after the notification, without the lock
    waiter.join();
  });
}

void a_sleep_orders_nothing() {
  in(1, [] {
    heddle::fiber other([] { touch_planted(); });
    heddle::this_fiber::sleep_for(20ms);
    touch_planted();
    other.join();
  });
}

void fiber_and_thread() {
  heddle::runtime rt({.workers = 1});
  std::atomic<bool> touched{false};
  rt.go([&] {
    touch_planted();
    touched.store(true, std::memory_order_relaxed);
  });
  while (!touched.load(std::memory_order_relaxed)) std::this_thread::yield();
  touch_planted();
}

void fibers_of_two_runtimes() {
  heddle::runtime one({.workers = 1}), two({.workers = 1});
  std::atomic<bool> touched{false};
  one.go([&] {
    touch_planted();
    touched.store(true, std::memory_order_relaxed);
  });
  two.run([&] {
    while (!touched.load(std::memory_order_relaxed)) heddle::this_fiber::yield();
    touch_planted();
  });
}

void blocking_call_and_neighbour() {
  in(1, [] {
    unseen_flag touched;
    heddle::fiber neighbour([&] {
      touched.wait();
      touch_planted();
    });
    heddle::blocking([&] {
      touch_planted();
      touched.set();
    });
    neighbour.join();
  });
}

void write_after_close() {
  in(1, [] {
    heddle::channel<int> c;
    heddle::fiber receiver([c] {
      while (c.receive()) {
      }
      touch_planted();
    });
    heddle::this_fiber::yield();
    c.close();
    touch_planted();
    receiver.join();
  });
}

// --- clean ---------------------------------------------------------------------------------------

void every(int fibers, void (*life)(int)) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    heddle::run({.workers = workers}, [&] {
      heddle::wait_group all;
      for (int i = 0; i < fibers; ++i) all.go([life, i] { life(i); });
      all.wait();
    });
  }
}

void spawn_and_join() {
  every(50, [](int) {
    int word = 1;
    for (int i = 0; i < 20; ++i) {
      heddle::fiber child([&word] { word = word + 1; });
      child.join();
      word = word + 1;
    }
    if (word != 41) std::abort();
  });
}

void hand_over_by_channel() {
  every(20, [](int i) {
    heddle::channel<int*> there(static_cast<std::size_t>(i % 3)),
        back(static_cast<std::size_t>(i % 2));
    heddle::fiber other([there, back] {
      for (int* word : there) {
        *word = *word + 1;
        back.send(word);
      }
    });
    int word = 0;
    for (int k = 0; k < 50; ++k) {
      there.send(&word);
      back.receive();
      word = word + 1;
    }
    there.close();
    other.join();
    if (word != 100) std::abort();
  });
}

void close_orders() {
  every(50, [](int) {
    int word = 0;
    heddle::channel<int> c;
    heddle::fiber receiver([c, &word] {
      while (c.receive()) {
      }
      word = word + 1;
    });
    word = 1;
    c.close();
    receiver.join();
  });
}

void mutex_and_condition() {
  static heddle::mutex m;
  static heddle::condition_variable changed;
  static int turns = 0;
  every(8, [](int i) {
    for (int k = 0; k < 50; ++k) {
      std::unique_lock hold(m);
      ++turns;
      if ((i + k) % 3 == 0) heddle::this_fiber::yield();  // held over a switch, and a migration
      if ((i + k) % 5 == 0) changed.wait_for(hold, std::chrono::microseconds(k));
      changed.notify_all();
    }
  });
}

void locals_of_a_fiber_that_wanders() {
  every(50, [](int i) {
    std::vector<int> own(100, i);
    for (int k = 0; k < 50; ++k) {
      own[static_cast<std::size_t>(k)] += 1;
      if (k % 7 == 0) {
        heddle::this_fiber::sleep_for(std::chrono::microseconds(i));
      } else {
        heddle::this_fiber::yield();
      }
    }
  });
}

void cancel_and_join() {
  every(50, [](int i) {
    int word = 0;
    heddle::fiber child([&word] {
      try {
        heddle::channel<int>{}.receive();
      } catch (const heddle::cancelled&) {
        word = word + 1;
      }
    });
    if (i % 2 == 0) heddle::this_fiber::yield();
    child.cancel();
    child.join();
    word = word + 1;
  });
}

void blocking_calls() {
  every(20, [](int i) {
    int word = i;
    for (int k = 0; k < 10; ++k) {
      heddle::blocking([&word] { word = word + 1; });
      word = word + 1;
    }
  });
}

void threads_and_fibers() {
  heddle::runtime rt({.workers = 2});
  heddle::channel<std::unique_ptr<int>> there, back;
  for (int i = 0; i < 4; ++i) {
    rt.go([there, back] {
      for (auto& word : there) {
        *word = *word + 1;
        back.send(std::move(word));
      }
    });
  }
  std::thread sender([&] {
    for (int i = 0; i < 500; ++i) there.send(std::make_unique<int>(i));
    there.close();
  });
  for (int i = 0; i < 500; ++i) {
    const auto word = *back.receive();
    *word = *word + 1;
  }
  sender.join();
}

// Records, stacks and callables are used again, by whoever comes next.
void many_short_lives() {
  every(2, [](int) {
    for (int round = 0; round < 20; ++round) {
      heddle::wait_group all;
      for (int i = 0; i < 100; ++i) {
        all.go([large = std::vector<int>(50, i)] {
          [[maybe_unused]] volatile int here[64] = {};
          here[63] = large[10];
        });
      }
      all.wait();
    }
  });
}

void runtimes_come_and_go() {
  for (int i = 0; i < 10; ++i) {
    int word = 0;
    heddle::run({.workers = 1 + static_cast<unsigned>(i) % 3}, [&word] {
      word = 1;
      heddle::go([] { heddle::this_fiber::sleep_for(1h); });
      heddle::go([] {
        for (;;) {
          heddle::this_fiber::yield();
          heddle::this_fiber::check_cancel();
        }
      });
    });
    word = word + 1;
  }
}

// The wait is over, and its callback, which is still there, runs all the same: on the thread on
// which the case is destroyed next.
void stop_of_what_has_received() {
  heddle::run({.workers = 1}, [] {
    for (int i = 0; i < 20; ++i) {
      heddle::channel<int> c;
      std::stop_source stop;
      heddle::fiber selecting([&] {
        std::vector<heddle::select_case> cases;
        cases.push_back(heddle::on_receive(c));
        cases.push_back(heddle::on_stop(stop.get_token()));
        if (heddle::select(std::span(cases)) != 0) std::abort();
      });
      heddle::this_fiber::yield();
      heddle::this_fiber::yield();
      c.send(i);
      stop.request_stop();
      selecting.join();
    }
  });
}

struct program {
  const char* kind;
  const char* name;
  void (*run)();
};
#define PLANTED(name) \
  { "planted", #name, &name }
#define CLEAN(name) \
  { "clean", #name, &name }
constexpr program programs[] = {
    PLANTED(two_fibers_on_one_worker),
    PLANTED(two_fibers_on_two_workers),
    PLANTED(two_fibers_that_yield),
    PLANTED(two_fibers_on_one_stack),
    PLANTED(write_after_send),
    PLANTED(write_after_buffered_send),
    PLANTED(read_before_receive),
    PLANTED(semaphore_of_two_as_a_lock),
    PLANTED(lost_lock),
    PLANTED(two_different_locks),
    PLANTED(write_after_unlock),
    PLANTED(read_before_wait),
    PLANTED(read_before_join),
    PLANTED(write_after_spawn),
    PLANTED(notified_without_the_lock),
    PLANTED(a_sleep_orders_nothing),
    PLANTED(fiber_and_thread),
    PLANTED(fibers_of_two_runtimes),
    PLANTED(blocking_call_and_neighbour),
    PLANTED(write_after_close),
    CLEAN(spawn_and_join),
    CLEAN(hand_over_by_channel),
    CLEAN(close_orders),
    CLEAN(mutex_and_condition),
    CLEAN(locals_of_a_fiber_that_wanders),
    CLEAN(cancel_and_join),
    CLEAN(blocking_calls),
    CLEAN(threads_and_fibers),
    CLEAN(many_short_lives),
    CLEAN(runtimes_come_and_go),
    CLEAN(stop_of_what_has_received),
};

}  // namespace

int main(int argc, char** argv) {
  for (const program& each : programs) {
    if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
      std::printf("%s %s\n", each.kind, each.name);
    } else if (argc == 3 && std::strcmp(argv[1], each.kind) == 0 &&
               std::strcmp(argv[2], each.name) == 0) {
      each.run();
      return 0;
    }
  }
  return argc == 2 ? 0 : 2;
}
