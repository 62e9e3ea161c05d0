// SPDX-License-Identifier: BSL-1.0
// unload: trap 24: a plugin that holds a copy of heddle is loaded, used and closed a thousand
//   times, while this program uses its own copy. Neither threads nor mappings become more; a child
//   can be forked; and this copy still reports the overflow of a stack. Exit status 0 if all of
//   that holds.
//
//     unload PLUGIN gone      it is unloaded each time; we put the handlers of signals back, which
//                             heddle leaves there (docs/limits.md, dlclose)
//     unload PLUGIN stays     it is linked with -z nodelete
//     unload PLUGIN default   the same; it uses its default runtime, and the process ends with that
#include "plugin.hpp"

#include <heddle/heddle.hpp>

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
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

/// Those that heddle installs stay so.
class handlers {
 public:
  handlers() {
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], nullptr, &before_[i]);
  }
  void put_back() const {
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array signals{SIGSEGV, SIGBUS, SIGURG};
  std::array<struct sigaction, signals.size()> before_{};
};

class plugin {
 public:
  explicit plugin(const char* path) : path_(path), handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) std::fprintf(stderr, "unload: %s\n", ::dlerror());
    expect(handle_ != nullptr, "cannot load the plugin");
  }
  int call(const char* function) const {
    void* at = ::dlsym(handle_, function);
    expect(at != nullptr, "the plugin has no such function");
    return reinterpret_cast<int (*)()>(at)();
  }
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
void one_round(int i, const char* path, const char* function, bool stays) {
  const handlers ours;
  plugin loaded(path);
  const auto call = [&] { return loaded.call(function); };
  int sum = 0;
  if (i % 2 == 0) {
    sum = heddle::run({.workers = 1}, call);
  } else {
    // It goes before the plugin: a thread that has used a default runtime would keep that loaded.
    std::thread([&] { sum = call(); }).join();
  }
  expect(sum == 45, "what the plugin has computed is wrong", sum);
  const bool is_loaded = loaded.close();
  expect(is_loaded == stays, "it is loaded, or not, against expectation", is_loaded);
  if (!is_loaded) ours.put_back();
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
  expect(argc == 3, "usage: unload PLUGIN gone|stays|default");
  const std::string way = argv[2];
  const bool stays = way != "gone";
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
    one_round(i, argv[1], way == "default" ? "use_default_runtime" : "use_own_runtime", stays);
  }
  // A thread that was joined is gone a moment later; and a spare worker may be needed at any time.
  constexpr std::size_t slack = 32;
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
