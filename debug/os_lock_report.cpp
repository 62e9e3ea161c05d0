// SPDX-License-Identifier: BSL-1.0
// os_lock_report: a lock of the system's that a fiber holds over a switch (sched/os_lock.hpp).
#include <heddle/debug/report.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/debug/symbols.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/os_lock.hpp>

#if defined(HEDDLE_OS_LOCKS)

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <sstream>
#include <utility>
#include <vector>

namespace heddle::detail {

namespace {

struct spot {
  const void* address;
  const code_line* line;
};

class os_lock_reports {
 public:
  void report(fiber_record& who, const os_lock& held, const char* leaves);

 private:
  spot theirs_among(const void* const* frames, std::size_t count);

  // os-lock: only in builds that look for faults, and held over no switch.
  std::mutex lock_;
  symbols names_;  // guarded by lock_
  // Where it was locked, and where left: many lock by one function of their own. Guarded by lock_.
  std::vector<std::pair<const void*, const void*>> told_;
};

// The innermost call that is not std's or ours, or else the outermost.
spot os_lock_reports::theirs_among(const void* const* frames, std::size_t count) {
  spot last{};
  for (std::size_t i = 0; i < count; ++i) {
    for (const code_line& l : names_.before(frames[i])) {
      last = {frames[i], &l};
      if (l.whose == owner::theirs) return last;
    }
  }
  return last;
}

/// Whether code there has pushed a frame pointer, if it was not inlined into who called it; as far
/// as that can be known. The libraries of std are compiled without.
bool has_frame_pointer(const void* code) noexcept {
  Dl_info module{};
  if (::dladdr(code, &module) == 0 || module.dli_fname == nullptr) return true;
  return std::strstr(module.dli_fname, "/libstdc++") == nullptr &&
         std::strstr(module.dli_fname, "/libc++") == nullptr;
}

void os_lock_reports::report(fiber_record& who, const os_lock& held, const char* leaves) {
  const bool is_mutex = held.held_as == os_lock::kind::mutex;
  std::size_t certain = 1;
  while (certain < held.frame_count && has_frame_pointer(held.frames[certain - 1])) ++certain;
  sighting here;
  here.meet(who);
  here.frame_count = addresses_here(here.frames.data(), here.frames.size());
  std::ostringstream text;
  {
    const std::lock_guard hold(lock_);
    const spot locked = theirs_among(held.frames, certain);
    const spot left = theirs_among(here.frames.data(), here.frame_count);
    const std::pair both(locked.address, left.address);
    if (std::find(told_.begin(), told_.end(), both) != told_.end()) return;
    told_.push_back(both);
    text << "heddle: " << fiber_label(who).text << " " << leaves << " while it holds OS "
         << (is_mutex ? "mutex " : "shared mutex ") << held.lock << ", locked in "
         << to_text(*locked.line) << ". Whoever wants it meanwhile blocks a thread with all its "
         << "fibers, and this one may go on on another thread. Unlock it first, or use heddle::"
         << (is_mutex ? "mutex" : "shared_mutex") << ".\n";
  }
  roll_call().write_trace(text, here);
  say(text.str());
}

}  // namespace

void report_os_lock(fiber_record& who, const os_lock& held, const char* leaves) noexcept {
  static os_lock_reports* const all = new (std::nothrow) os_lock_reports;  // never destroyed
  try {
    if (all != nullptr) all->report(who, held, leaves);
  } catch (const std::bad_alloc&) {
    say("heddle: an OS mutex is held over a switch; no memory to say which\n");
  }
}

}  // namespace heddle::detail

#endif
