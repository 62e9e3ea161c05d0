// SPDX-License-Identifier: BSL-1.0
// worker_pointer: trap 1, as a user's program would meet it: whatever is asked of the library after
//   a migration is the new thread's. Exit status 0 if so, each of 1,000 times.
#include <heddle/heddle.hpp>
#include <heddle/sched/worker.hpp>

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <string>

namespace {

pid_t thread_id() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "after a migration: %s\n", what);
  std::_Exit(1);
}

// Inline, so that a compiler sees the calls before and after the switch in one function.
template <class Op>
inline void migrate_by(Op op) {
  for (int attempt = 0; attempt < 100'000; ++attempt) {
    const pid_t home = thread_id();
    const auto over = std::make_shared<std::atomic<bool>>(false);
    heddle::go([over, home] {
      while (thread_id() == home && !over->load(std::memory_order_acquire)) {
        heddle::detail::cpu_relax();
      }
    });
    op();
    over->store(true, std::memory_order_release);
    if (thread_id() != home) return;
  }
  expect(false, "there was none");
}

}  // namespace

int main() {
  heddle::run({.workers = 2}, [] {
    const auto id = heddle::this_fiber::get_id();
    heddle::runtime* const rt = heddle::runtime::current();
    std::map<pid_t, heddle::detail::worker*> workers;
    heddle::channel<int> c;
    heddle::mutex m;
    for (int i = 0; i < 1'000; ++i) {
      heddle::detail::worker* const before = heddle::detail::current_worker();
      heddle::detail::fiber_record* const self = before->current();
      workers.try_emplace(thread_id(), before);
      switch (i % 4) {
        case 0:
          migrate_by([] { heddle::this_fiber::yield(); });
          break;
        case 1:
          migrate_by([] { heddle::this_fiber::sleep_for(std::chrono::nanoseconds(1)); });
          break;
        case 2:
          migrate_by([c] {
            heddle::go([c] {
              heddle::this_fiber::yield();  // to who is to hold up the thread
              c.send(1);
            });
            expect(c.receive() == 1, "a channel's value");
          });
          break;
        default:
          migrate_by([&m] {
            heddle::fiber holder([&m] {
              const std::lock_guard hold(m);
              heddle::this_fiber::yield();
            });
            heddle::this_fiber::yield();
            const std::lock_guard hold(m);
          });
      }
      heddle::detail::worker* const after = heddle::detail::current_worker();
      expect(before != after, "the worker is the old one");
      expect(after->current() == self, "the worker runs somebody else");
      expect(workers.try_emplace(thread_id(), after).first->second == after,
             "the worker is another thread's");
      expect(heddle::this_fiber::get_id() == id, "the fiber's id");
      expect(heddle::runtime::current() == rt, "the runtime");
      try {
        throw i;
      } catch (int caught) {
        migrate_by([] { heddle::this_fiber::yield(); });
        expect(caught == i, "the exception");
        expect(std::uncaught_exceptions() == 0, "uncaught_exceptions()");
        expect(std::current_exception() != nullptr, "current_exception()");
      }
    }
    expect(workers.size() >= 2, "there was one thread");
  });
  std::puts("ok");
}
