// SPDX-License-Identifier: BSL-1.0
// trace: beginning and ending one; the thread that ticks meanwhile.
#include <heddle/base/assert.hpp>
#include <heddle/base/futex.hpp>
#include <heddle/debug/own_thread.hpp>
#include <heddle/debug/trace.hpp>
#include <heddle/debug/trace_json.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/tracing.hpp>

#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace heddle {

namespace detail {

namespace {

constexpr std::int64_t tick_ns = 100'000;

struct closing {
  void operator()(std::FILE* f) const noexcept { std::fclose(f); }
};

/// The trace that is under way.
struct session {
  std::string path;
  const pid_t process = ::getpid();
  std::unique_ptr<std::FILE, closing> file;
  trace_span span;
  atomic<std::uint32_t> over{0};  // futex
  std::thread ticker;
};

// os-lock: held while a trace begins or ends, over no switch.
constinit std::mutex sessions;
session* current = nullptr;  // guarded by sessions

std::system_error failed(int error, const std::string& what) {
  return {error, std::generic_category(), "heddle: " + what};
}

void tick_until(const atomic<std::uint32_t>& over) noexcept {
  ::prctl(PR_SET_TIMERSLACK, 1);
  for (std::uint32_t n = 1; over.load(std::memory_order_relaxed) == 0; ++n) {
    trace_tick.store(n, std::memory_order_relaxed);
    futex_wait(over, 0, real_now_ns() + tick_ns);
  }
}

void stop_ticker(session& s) noexcept {
  own_thread_ends();
  s.over.store(1, std::memory_order_relaxed);
  futex_wake(&s.over);
  s.ticker.join();
}

/// `%p` stands for the process's id.
std::string expanded(std::string path) {
  const auto at = path.find("%p");
  return at == path.npos ? path : path.replace(at, 2, std::to_string(::getpid()));
}

}  // namespace

void trace_as_environment_says() {
  // The flag is up before an exception may leave: the next runtime does not try again.
  static std::atomic_flag done;
  if (done.test_and_set(std::memory_order_relaxed)) return;
  const char* path = std::getenv("HEDDLE_TRACE");
  if (path == nullptr || *path == '\0') return;
  try {
    trace::start(expanded(path));
  } catch (const std::system_error& e) {
    // The program traces itself already.
    if (e.code() == std::errc::device_or_resource_busy) {
      complain("HEDDLE_TRACE is ignored: the program has begun a trace itself");
      return;
    }
    throw std::system_error(e.code(), std::string("heddle: HEDDLE_TRACE is ") + path);
  }
  std::atexit([] {
    try {
      trace::stop();
    } catch (const std::exception& e) {
      complain("HEDDLE_TRACE: %s", e.what());
    }
  });
}

}  // namespace detail

void trace::start(const std::string& path) {
  using namespace detail;
  refuse_after_fork();
  const std::lock_guard hold(sessions);
  if (current != nullptr) throw failed(EBUSY, "a trace is on already, to " + current->path);
  auto made = std::make_unique<session>();
  made->path = path;
  made->file.reset(std::fopen(path.c_str(), "we"));
  if (made->file == nullptr) throw failed(errno, "no file for a trace: " + path);
  try {
    made->ticker = start_own_thread([s = made.get()] { tick_until(s->over); });
  } catch (const std::system_error&) {
    throw failed(EAGAIN, "no thread for a trace");
  }
  made->span.from = {trace_clock(), real_now_ns()};
  begin_tracing();
  current = made.release();
}

void trace::stop() {
  using namespace detail;
  const std::lock_guard hold(sessions);
  std::unique_ptr<session> ended(std::exchange(current, nullptr));
  if (ended == nullptr) return;
  if (ended->process != ::getpid()) {
    // In a forked child: the trace, the thread and the file's place are the parent's.
    [[maybe_unused]] session* const his = ended.release();
    return;
  }
  struct giving_back {
    void operator()(trace_ring* first) const noexcept { give_back_rings(first); }
  };
  const std::unique_ptr<trace_ring, giving_back> rings(end_tracing());
  ended->span.to = {trace_clock(), real_now_ns()};
  stop_ticker(*ended);
  // Names are looked up: that takes more stack than a fiber may have. And errno is a thread's.
  int error = 0;
  call_aside([&] {
    std::FILE* const file = ended->file.get();
    errno = 0;
    write_trace_json(file, rings.get(), ended->span);
    const bool is_bad = std::fflush(file) != 0 || std::ferror(file) != 0;
    if (is_bad) error = errno != 0 ? errno : EIO;
    if (std::fclose(ended->file.release()) != 0 && !is_bad) error = errno;
  });
  if (error != 0) throw failed(error, "the trace could not be written: " + ended->path);
}

}  // namespace heddle
