// SPDX-License-Identifier: BSL-1.0
// running: asking a thread for the stack that it is on.
//
//   The request:  free ──(asked for)──> wanted ──(its thread's handler)──> answering ──> answered
//                   ^─────────────────────┴──(who asks has waited long enough)             │
//                   └──────────────────────────────────────────────────────────────────────┘
#include <heddle/base/atomic.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/debug/running.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/signal_handler.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <string_view>

namespace heddle::detail {

namespace {

constexpr std::int64_t patience_ns = 50'000'000;
constexpr std::size_t most_frames = 64;

enum class request_state : std::uint8_t { free, wanted, answering, answered };

constinit spin_lock asking;
// The request. Who asks writes it before it is asked, its thread's handler while it is answering.
constinit atomic<request_state> stage{request_state::free};
constinit atomic<worker*> asked_of{nullptr};
std::uint64_t found_id;                 // guarded by stage
const void* found_frames[most_frames];  // the same
std::size_t found_count;                // the same
constinit signal_handler handler;

void answer(void* machine) noexcept {
  worker* const w = current_worker();
  if (w == nullptr || asked_of.load(std::memory_order_relaxed) != w) return;
  request_state expected = request_state::wanted;
  // (rn.1) acquire: the request is one for this thread; pairs with (rn.2).
  if (!stage.compare_exchange_strong(expected, request_state::answering, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
    return;
  }
  const fiber_record* const r = w->current();
  found_id = r != nullptr ? r->id.load(std::memory_order_relaxed) : 0;
  found_count = r != nullptr ? addresses_at(machine, found_frames, most_frames) : 0;
  // (rn.3) release: the answer stands; pairs with (rn.4).
  stage.store(request_state::answered, std::memory_order_release);
}

void on_urgent_signal(int number, siginfo_t* info, void* machine) noexcept {
  if (info->si_code == SI_QUEUE && info->si_pid == ::getpid() &&
      info->si_value.sival_ptr == &asking) {
    const int error = errno;
    answer(machine);
    errno = error;
  } else {
    handler.pass_on(number, info, machine);
  }
}

}  // namespace

bool sleeps_in_system(const worker& w) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", w.thread_id());
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;  // better no trace than a call that fails
  char text[256];
  const auto got = ::read(file, text, sizeof text);
  ::close(file);
  // The state follows the name, which may hold parentheses itself.
  const std::string_view line(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  const auto name_end = line.rfind(')');
  return name_end == line.npos || line.substr(name_end, 3) != ") R";
}

std::size_t addresses_of_running(worker& w, std::uint64_t id, const void** into,
                                 std::size_t room) noexcept {
#if defined(HEDDLE_TSAN)
  return 0;  // it puts signals off until the thread makes a call that it knows
#endif
  const std::lock_guard alone(asking);
  static const bool can_ask = handler.install(SIGURG, &on_urgent_signal, SA_RESTART);
  if (!can_ask || sleeps_in_system(w)) return 0;
  asked_of.store(&w, std::memory_order_relaxed);
  // (rn.2) release: what the last answer was is not read any more; pairs with (rn.1).
  stage.store(request_state::wanted, std::memory_order_release);
  if (!w.signal(SIGURG, &asking)) {
    stage.store(request_state::free, std::memory_order_relaxed);
    return 0;
  }
  const std::int64_t give_up = real_now_ns() + patience_ns;
  // (rn.4) acquire: sees the answer; pairs with (rn.3).
  for (backoff wait; stage.load(std::memory_order_acquire) != request_state::answered;
       wait.pause()) {
    request_state expected = request_state::wanted;
    if (real_now_ns() >= give_up &&
        stage.compare_exchange_strong(expected, request_state::free, std::memory_order_relaxed,
                                      std::memory_order_relaxed)) {
      return 0;
    }
  }
  std::size_t count = 0;
  if (found_id == id) {
    count = std::min(found_count, room);
    std::copy_n(found_frames, count, into);
  }
  stage.store(request_state::free, std::memory_order_relaxed);
  return count;
}

}  // namespace heddle::detail
