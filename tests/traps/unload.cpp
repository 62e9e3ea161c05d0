// SPDX-License-Identifier: BSL-1.0
// unload: trap 24: a plugin that holds a copy of heddle is loaded, used and closed a thousand
//   times, while this program uses its own copy. It stays loaded, and can be used once it is
//   closed. Neither threads nor mappings become more; a child can be forked; and this copy still
//   reports the overflow of a stack. Exit status 0 if all of that holds.
//
//     unload PLUGIN own       it uses runtimes of its own
//     unload PLUGIN loading   it does so in dlopen() already
//     unload PLUGIN default   it uses its default runtime, and the process ends with that
#include "plugin.hpp"

#include <heddle/heddle.hpp>

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>

namespace {

constexpr int rounds = 1000;
constexpr int warm_up = 100;  // until what is kept for the next thread is there

void expect(bool holds, const char* what, long value = 0) {
  if (holds) return;
  std::fprintf(stderr, "unload: %s (%ld)\n", what, value);
  ::_exit(1);
}

/// What would be left over: more of it after each round.
struct usage {
  std::size_t threads = 0;
  std::size_t mappings = 0;

  static usage now() {
    usage u;
    u.threads = static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
    std::ifstream maps("/proc/self/maps");
    u.mappings = static_cast<std::size_t>(
        std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
    return u;
  }
};

class plugin {
 public:
  plugin(const char* path, const char* function)
      : path_(path), handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) std::fprintf(stderr, "unload: %s\n", ::dlerror());
    expect(handle_ != nullptr, "cannot load the plugin");
    void* at = ::dlsym(handle_, function);
    expect(at != nullptr, "the plugin has no such function");
    call = reinterpret_cast<int (*)()>(at);
  }
  int (*call)() = nullptr;
  /// Returns whether it is still loaded.
  bool close() {
    expect(::dlclose(handle_) == 0, "cannot close the plugin");
    void* still = ::dlopen(path_, RTLD_NOW | RTLD_NOLOAD);
    if (still != nullptr) ::dlclose(still);
    return still != nullptr;
  }

 private:
  const char* path_;
  void* handle_;
};

/// A round on a plain thread, or on a fiber of this program's copy.
void one_round(int i, const char* path, const char* function) {
  plugin loaded(path, function);
  const auto use = [&] {
    const int sum = loaded.call();
    expect(sum == 45, "what the plugin has computed is wrong", sum);
  };
  if (i % 2 == 0) {
    heddle::run({.workers = 1}, use);
  } else {
    // Not this one: the plugin would not go before the thread-locals that it has there.
    std::thread(use).join();
  }
  expect(loaded.close(), "it is unloaded");
  use();
}

void expect_fork_works() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = 0;
  expect(::waitpid(child, &status, 0) == child && status == 0, "a forked child died", status);
}

// Where stderr goes while a stack overflows.
int report = -1;

/// Installed before the first runtime, so called when heddle has reported.
void on_fault(int) {
  static char text[4096];
  const auto length = ::pread(report, text, sizeof text - 1, 0);
  ::_exit(length > 0 && std::strstr(text, "stack overflow in fiber") != nullptr ? 0 : 2);
}

[[gnu::noinline]] int overflow(int depth) {
  if (depth < 0) return 0;
  volatile char here[1000];
  here[depth % 1000] = 1;
  return overflow(depth + 1) + here[depth % 1000];
}

}  // namespace

int main(int argc, char** argv) {
  expect(argc == 3, "usage: unload PLUGIN own|loading|default");
  const std::string_view way = argv[2];
  const char* function = "use_own_runtime";
  if (way == "default") function = "use_default_runtime";
  if (way == "loading") {
    function = "used_while_loading";
    ::setenv("HEDDLE_TEST_WHILE_LOADING", "1", 1);
  }
  struct sigaction last {};
  last.sa_handler = &on_fault;
  last.sa_flags = SA_ONSTACK;
  ::sigaction(SIGSEGV, &last, nullptr);

  heddle::runtime own({.workers = 2});
  heddle::channel<int> work;
  std::atomic<long> done{0};
  for (int i = 0; i < 4; ++i) {
    own.go([work, &done] {
      while (work.receive()) done.fetch_add(1, std::memory_order_relaxed);
    });
  }
  heddle::fiber source;
  own.run([&] {
    source = heddle::fiber([work] {
      for (int n = 0; work.send(n); ++n)
        heddle::this_fiber::sleep_for(std::chrono::microseconds(50));
    });
  });

  usage warm;
  for (int i = 0; i < rounds; ++i) {
    if (i == warm_up) warm = usage::now();
    one_round(i, argv[1], function);
  }
  // One more in each round would be twice that. A thread that was joined is gone a moment later,
  // and on a busy machine dozens of spare workers are needed at any time.
  constexpr std::size_t slack = (rounds - warm_up) / 2;
  const usage end = usage::now();
  expect(end.threads <= warm.threads + slack, "threads are left over",
         static_cast<long>(end.threads));
  expect(end.mappings <= warm.mappings + slack, "mappings are left over",
         static_cast<long>(end.mappings));
  expect_fork_works();
  work.close();
  source.join();
  expect(done.load() > 0, "this program's own fibers have not run");
  if (way == "default") return 0;

  report = ::memfd_create("stderr", 0);
  ::dup2(report, STDERR_FILENO);
  own.run([] { return overflow(0); });
  return 3;
}
