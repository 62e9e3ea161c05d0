// SPDX-License-Identifier: BSL-1.0
// stack_errors: trap 17: built with AddressSanitizer. With the name of an error it makes that error
//   in a fiber, which must be reported; with `clean` it throws through frames and uses stacks
//   again, which must not.
#include <heddle/heddle.hpp>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

// Reached through a pointer that a compiler does not see through.
template <class T>
[[gnu::noinline]] T* hidden(T* at) {
  asm volatile("" : "+r"(at));
  return at;
}

[[gnu::noinline]] int* address_of_a_local() {
  int local = 42;
  return hidden(&local);
}

void use_after_return() {
  int* gone = address_of_a_local();
  heddle::this_fiber::yield();
  *hidden(gone) = 1;
}

// Seen by another fiber, after the owner has returned but lives on.
void use_after_return_by_another() {
  heddle::channel<int*> c;
  heddle::channel<int> done;
  heddle::fiber owner([c, done]() mutable {
    c.send(address_of_a_local());
    done.receive();
  });
  int* gone = *c.receive();
  *hidden(gone) = 1;
  done.send(1);
}

void overflow_of_a_local() {
  std::array<char, 16> small{};
  heddle::this_fiber::yield();
  hidden(small.data())[16] = 1;
}

void use_after_free() {
  auto own = std::make_unique<int>(1);
  int* gone = hidden(own.get());
  heddle::this_fiber::yield();
  own.reset();
  heddle::this_fiber::yield();
  *hidden(gone) = 2;
}

[[gnu::noinline]] int throw_from(int depth) {
  std::array<char, 200> here{};
  hidden(here.data())[depth] = 1;
  if (depth == 0) throw std::runtime_error("from below");
  return throw_from(depth - 1) + here[static_cast<std::size_t>(depth)];
}

[[gnu::noinline]] int fill_frames(int depth) {
  std::array<char, 300> here;
  std::memset(hidden(here.data()), depth, here.size());
  return depth == 0 ? here[1] : fill_frames(depth - 1) + here[2];
}

struct throws_and_catches {
  ~throws_and_catches() {
    try {
      throw_from(5);
    } catch (const std::runtime_error&) {
    }
    heddle::this_fiber::yield();
  }
};

void clean_life(int i) {
  for (int round = 0; round < 3; ++round) {
    try {
      const throws_and_catches here;
      throw_from(i % 50);
    } catch (const std::runtime_error&) {
      heddle::this_fiber::yield();
    }
    fill_frames(i % 60);
    if (i % 5 == 0) heddle::this_fiber::sleep_for(std::chrono::microseconds(i));
  }
}

void clean() {
  for (int round = 0; round < 30; ++round) {
    heddle::wait_group all;
    for (int i = 0; i < 60; ++i) all.go([i] { clean_life(i); });
    // Some are left in the middle of their frames: cancelled.
    for (int i = 0; i < 10; ++i) {
      heddle::fiber f([i] {
        fill_frames(i);
        const throws_and_catches here;
        heddle::this_fiber::sleep_for(std::chrono::hours(1));
      });
      heddle::this_fiber::yield();
      f.cancel();
    }
    all.wait();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const struct {
    const char* name;
    void (*run)();
  } programs[] = {{"use_after_return", &use_after_return},
                  {"use_after_return_by_another", &use_after_return_by_another},
                  {"overflow_of_a_local", &overflow_of_a_local},
                  {"use_after_free", &use_after_free},
                  {"clean", &clean}};
  for (const auto& each : programs) {
    if (argc != 2 || std::strcmp(argv[1], each.name) != 0) continue;
    for (const unsigned workers : {1u, 2u}) {
      heddle::run({.workers = workers}, [&each] { heddle::fiber(each.run).join(); });
    }
    std::puts("ran to its end");
    return 0;
  }
  return 2;
}
