// SPDX-License-Identifier: BSL-1.0
// out_of_memory: trap 38: the n-th call of operator new fails, for every n, wherever it is made.
//   What comes out is std::bad_alloc, or a std::system_error that says what ran out, at the call
//   that asked; what was started finishes, and nothing is leaked. Exit status 0 if all of that
//   holds.
#include <heddle/heddle.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stop_token>
#include <system_error>

namespace {

std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> fails_at{0};  // 0: never
std::atomic<long> blocks{0};

void* get(std::size_t bytes) noexcept {
  const auto call = calls.fetch_add(1, std::memory_order_relaxed) + 1;
  if (call == fails_at.load(std::memory_order_relaxed)) return nullptr;
  void* at = std::malloc(bytes);
  if (at != nullptr) blocks.fetch_add(1, std::memory_order_relaxed);
  return at;
}
void* get_aligned(std::size_t bytes, std::align_val_t alignment) noexcept {
  const auto call = calls.fetch_add(1, std::memory_order_relaxed) + 1;
  if (call == fails_at.load(std::memory_order_relaxed)) return nullptr;
  const auto a = static_cast<std::size_t>(alignment);
  void* at = std::aligned_alloc(a, (bytes + a - 1) / a * a);
  if (at != nullptr) blocks.fetch_add(1, std::memory_order_relaxed);
  return at;
}
void put(void* at) noexcept {
  if (at != nullptr) blocks.fetch_sub(1, std::memory_order_relaxed);
  std::free(at);
}

}  // namespace

void* operator new(std::size_t n) {
  void* at = get(n);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return get(n); }
void* operator new(std::size_t n, std::align_val_t a) {
  void* at = get_aligned(n, a);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}
void operator delete(void* at) noexcept { put(at); }
void operator delete(void* at, std::size_t) noexcept { put(at); }
void operator delete(void* at, std::align_val_t) noexcept { put(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { put(at); }

namespace {

int failures = 0;

void expect(bool holds, const char* what, std::uint64_t n) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "with call %llu failing: %s\n", static_cast<unsigned long long>(n), what);
}

std::atomic<int> alive{0};
std::atomic<int> undocumented{0};

struct counted {
  counted() noexcept { alive.fetch_add(1, std::memory_order_relaxed); }
  counted(const counted&) noexcept : counted() {}
  ~counted() { alive.fetch_sub(1, std::memory_order_relaxed); }
};

template <class Op>
bool refusable(Op op) {
  try {
    op();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::resource_unavailable_try_again &&
        e.code() != std::errc::not_enough_memory) {
      undocumented.fetch_add(1, std::memory_order_relaxed);
    }
  }
  return false;
}

/// A bit of everything that allocates.
void use_everything(std::uint64_t n) {
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  heddle::run({.workers = 2}, [&] {
    heddle::wait_group all;
    const auto child = [&](auto body) {
      if (refusable([&, local = counted{}] {
            all.go([&ended, local, body] {
              body();
              ended.fetch_add(1, std::memory_order_relaxed);
            });
          })) {
        started.fetch_add(1, std::memory_order_relaxed);
      }
    };
    for (int i = 0; i < 3; ++i) {
      child([] { heddle::this_fiber::yield(); });
      child([large = std::array<char, 300>{}] {
        static_cast<void>(large);
        heddle::this_fiber::yield();
      });
      child([] { refusable([] { heddle::this_fiber::set_name("a name that is not short"); }); });
      child([] {
        const std::stop_token token = heddle::this_fiber::get_stop_token();
        heddle::this_fiber::sleep_for(std::chrono::microseconds(token.stop_requested() ? 1 : 10));
      });
      child([] {
        refusable([] {
          heddle::fiber f({.name = "named", .stack_size = 32 * 1024}, [](std::stop_token t) {
            while (!t.stop_requested() && t.stop_possible()) {
              heddle::this_fiber::yield();
            }
          });
          f.request_stop();
          f.join();
        });
      });
      child([] {
        refusable([] {
          heddle::channel<int> c(4);
          heddle::fiber sender([c]() mutable {
            for (int v = 0; v < 8; ++v) c.send(v);
            c.close();
          });
          int sum = 0;
          for (int v : c) sum += v;
          if (sum != 28) undocumented.fetch_add(1, std::memory_order_relaxed);
        });
      });
      child([] { refusable([] { heddle::blocking([] {}); }); });
      child([] {
        static heddle::fiber_local<int> local;
        refusable([] { *local = 1; });
      });
      child([] {
        refusable([] {
          heddle::promise<void> last;
          auto at_end = last.get_future();
          auto result = heddle::async(std::launch::async, [&] {
            last.set_value_at_thread_exit();
            return 1;
          });
          static_cast<void>(result.get());
          at_end.wait();
        });
      });
      child([] {
        heddle::mutex m;
        m.lock();
        std::stop_source stop{std::nostopstate};
        if (!refusable([&] { stop = std::stop_source(); })) {
          m.unlock();
          return;
        }
        refusable([&] {
          heddle::fiber waiter([&] {
            if (m.lock(stop.get_token())) m.unlock();
          });
          stop.request_stop();
          waiter.join();
        });
        m.unlock();
      });
    }
    all.wait();
  });
  expect(started.load() == ended.load(), "a fiber that was started has not finished", n);
}

/// A promise is one allocation; nothing that follows makes another.
void expect_one_for_a_promise() {
  calls.store(0);
  {
    heddle::promise<int> p;
    auto f = p.get_future();
    p.set_value(1);
    expect(f.share().get() == 1 && calls.load() == 1, "a promise makes one allocation", 0);
  }
}

}  // namespace

int main() {
  expect_one_for_a_promise();
  use_everything(0);  // what is made once
  std::uint64_t most = 0;
  int refused = 0;
  for (std::uint64_t n = 1;; ++n) {
    const long before = blocks.load();
    calls.store(0);
    fails_at.store(n);
    if (!refusable([n] { use_everything(n); })) ++refused;
    fails_at.store(0);
    most = calls.load();
    expect(alive.load() == 0, "a callable was lost, or destroyed twice", n);
    expect(undocumented.load() == 0, "an error that is not documented", n);
    expect(blocks.load() == before, "memory was leaked", n);
    if (failures > 0 || most < n) break;
  }
  std::printf("%llu calls, %d of them made the whole run fail\n",
              static_cast<unsigned long long>(most), refused);
  return failures == 0 && most > 20 && refused > 0 ? 0 : 1;
}
