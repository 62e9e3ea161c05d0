// SPDX-License-Identifier: BSL-1.0
// hot_paths: does one thing many times on one worker, for who counts the instructions
// (instructions_test.py). PATH COUNT; without arguments it prints the paths.
#include <heddle/heddle.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

void yield(long n) {
  const heddle::fiber other([n] {
    for (long i = 0; i < n / 2; ++i) heddle::this_fiber::yield();
  });
  for (long i = 0; i < n / 2; ++i) heddle::this_fiber::yield();
}

// A round trip over two unbuffered channels.
void ping_pong(long n) {
  heddle::channel<std::int64_t> there, back;
  const heddle::fiber other([=]() mutable {
    for (const std::int64_t value : there) back.send(value);
  });
  for (long i = 0; i < n; ++i) {
    there.send(i);
    (void)back.receive();
  }
  there.close();
}

void spawn_and_join(long n) {
  for (long i = 0; i < n; ++i) heddle::fiber([] {}).join();
}

void spawn_many(long n) {
  heddle::wait_group all;
  for (long i = 1; i <= n; ++i) {
    all.go([] {});
    if (i % 1'000 == 0) all.wait();
  }
  all.wait();
}

void lock_and_unlock(long n) {
  heddle::mutex mutex;
  for (long i = 0; i < n; ++i) const std::scoped_lock hold(mutex);
}

// Nobody waits: there is room, and there is a value.
void send_and_receive(long n) {
  heddle::channel<std::int64_t> channel(128);
  for (long i = 0; i < n; ++i) {
    channel.send(i);
    (void)channel.receive();
  }
}

// A value each from one of two unbuffered channels with a sender that waits.
void select_of_2(long n) {
  heddle::channel<std::int64_t> a, b;
  const heddle::fiber to_a([=]() mutable {
    for (long i = 0; i < n / 2; ++i) a.send(i);
  });
  const heddle::fiber to_b([=]() mutable {
    for (long i = 0; i < n / 2; ++i) b.send(i);
  });
  for (long i = 0; i < n / 2 * 2; ++i) {
    heddle::select(heddle::on_receive(a, [](auto) {}), heddle::on_receive(b, [](auto) {}));
  }
}

constexpr struct {
  const char* name;
  void (*run)(long n);
} paths[] = {
    {"yield", yield},
    {"ping_pong", ping_pong},
    {"spawn_and_join", spawn_and_join},
    {"spawn_many", spawn_many},
    {"lock_and_unlock", lock_and_unlock},
    {"send_and_receive", send_and_receive},
    {"select_of_2", select_of_2},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const auto& path : paths) std::puts(path.name);
    return 0;
  }
  for (const auto& path : paths) {
    if (argc != 3 || std::strcmp(path.name, argv[1]) != 0) continue;
    // Under valgrind threads wait long for each other: no spare may take part of the work.
    heddle::run({.workers = 1, .max_spare_workers = 0}, path.run, std::atol(argv[2]));
    return 0;
  }
  std::fprintf(stderr, "usage: hot_paths [PATH COUNT]; without arguments: which paths there are\n");
  return 2;
}
