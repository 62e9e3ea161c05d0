// SPDX-License-Identifier: BSL-1.0
// held_channels: fibers that wait at channels which others hold, each in another way.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <any>
#include <array>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

using line = heddle::channel<int>;

line global{nullptr};
std::unique_ptr<line> on_the_heap;
thread_local std::unique_ptr<line> of_a_thread;

/// Waits at a channel for `hang_up`, which nobody does before it is time.
class phones {
 public:
  /// One more fiber waits; returns what it waits at.
  line ring() {
    line at;
    waiting_.go([at] { (void)at.receive(); });
    return at;
  }
  template <class F>
  void holder(F f) {
    waiting_.go(std::move(f));
  }
  void wait() { waiting_.wait(); }

 private:
  heddle::wait_group waiting_;
};

constexpr auto quiet = 1'200ms;

void hold_all(phones& them) {
  global = them.ring();
  on_the_heap = std::make_unique<line>(them.ring());
  them.holder([at = them.ring()] {
    heddle::this_fiber::sleep_for(quiet);
    at.close();
  });
  them.holder([at = them.ring(), large = std::vector<char>(100), larger = std::array<char, 500>{}] {
    heddle::this_fiber::sleep_for(quiet + 1ms * large.size() * larger[0]);
    at.close();
  });
  them.holder([at = std::make_shared<line>(them.ring())] {
    heddle::this_fiber::sleep_for(quiet);
    at->close();
  });
  them.holder([at = std::any(them.ring())] {
    heddle::this_fiber::sleep_for(quiet);
    std::any_cast<line>(at).close();
  });
  // By a reference into the stack of the one who waits.
  them.holder([&them] {
    line own;
    them.holder([&own] {
      heddle::this_fiber::sleep_for(quiet);
      own.close();
    });
    (void)own.receive();
  });
  // In a channel, in an exception, in a select, in a fiber_local, in a thread that waits too.
  them.holder([&them] {
    heddle::channel<line> lines(1);
    lines.send(them.ring());
    heddle::this_fiber::sleep_for(quiet);
    lines.receive()->close();
  });
  them.holder([&them] {
    try {
      throw them.ring();
    } catch (const line& at) {
      heddle::this_fiber::sleep_for(quiet);
      at.close();
    }
  });
  them.holder(
      [at = them.ring()] { heddle::select(heddle::on_send(at, 1), heddle::on_timeout(quiet)); });
  // In the stack of one who selects among two of which only one is held.
  them.holder([&them] {
    line held;
    them.holder([held, at = them.ring()] {
      const line dropped;
      heddle::select(heddle::on_receive(dropped), heddle::on_receive(held));
      at.close();
    });
    heddle::this_fiber::sleep_for(quiet);
    held.close();
  });
  them.holder([&them] {
    static heddle::fiber_local<line> own;
    *own = them.ring();
    heddle::this_fiber::sleep_for(quiet);
    own->close();
  });
  them.holder([at = them.ring()] {
    heddle::channel<int> gate;
    std::thread there([at, gate] {
      (void)gate.receive();
      at.close();
    });
    heddle::this_fiber::sleep_for(quiet);
    gate.close();
    there.join();
  });
  them.holder([at = them.ring()] {
    const heddle::no_migrate here;
    of_a_thread = std::make_unique<line>(at);
    heddle::this_fiber::sleep_for(quiet);
    of_a_thread->close();
    of_a_thread.reset();
  });
}

int main() {
  heddle::run({.workers = 2}, [] {
    phones them;
    hold_all(them);
    // Whom somebody may cancel.
    heddle::fiber one([] { (void)line().receive(); });
    heddle::task_group several;
    several.spawn([] { (void)line().receive(); });
    (void)line().receive_for(quiet);
    one.cancel();
    several.cancel();
    global.close();
    on_the_heap->close();
    them.wait();
    global = nullptr;
    on_the_heap.reset();
  });
  return 0;
}
