// SPDX-License-Identifier: BSL-1.0
// crew: starting its members, and knowing when they sleep.
#include "sync/crew.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace heddle_test {

bool sleeps_in_futex(pid_t tid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", static_cast<int>(tid));
  std::FILE* file = std::fopen(path, "r");
  if (file == nullptr) return false;
  char text[64] = "";
  const bool got = std::fgets(text, sizeof text, file) != nullptr;
  std::fclose(file);
  return got && text[0] >= '0' && text[0] <= '9' && std::atol(text) == SYS_futex;
}

void crew::start_call(kind what, call body) {
  is_joined_ = false;
  under_way_.add();
  auto run = [this, body = std::move(body)]() mutable {
    body();
    body = nullptr;
    under_way_.done();
  };
  if (what == kind::thread) {
    threads_.emplace_back(std::move(run));
  } else {
    runtime_of(what).go(std::move(run));
  }
}

void crew::start_call_and_sleep(kind what, call body) {
  if (what == kind::thread) {
    auto tid = std::make_shared<std::atomic<pid_t>>(0);
    start_call(what, [tid, body = std::move(body)] {
      tid->store(::gettid());
      body();
    });
    EXPECT_TRUE(eventually([&] { return tid->load() != 0 && sleeps_in_futex(tid->load()); }));
  } else {
    heddle::runtime& rt = runtime_of(what);
    const auto before = rt.stats().parks;
    start_call(what, std::move(body));
    EXPECT_TRUE(eventually([&] { return rt.stats().parks > before; }));
  }
}

void crew::join() {
  under_way_.wait();
  for (auto& each : threads_) each.join();
  threads_.clear();
  is_joined_ = true;
}

heddle::runtime& crew::runtime_of(kind what) {
  if (what == kind::fiber) return rt_;
  if (!other_) other_.emplace(heddle::options{.workers = 2});
  return *other_;
}

}  // namespace heddle_test
