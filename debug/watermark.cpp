// SPDX-License-Identifier: BSL-1.0
// watermark: the table of how deep stacks were used, by who started the fibers, that
//   HEDDLE_STACK_WATERMARK=1 prints at exit.
#include <heddle/base/spin_lock.hpp>
#include <heddle/debug/own_thread.hpp>
#include <heddle/debug/report.hpp>
#include <heddle/debug/symbols.hpp>
#include <heddle/fiber/record.hpp>
#include <heddle/fiber/watermark.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::detail {

namespace {

struct site {
  const void* started_from = nullptr;
  std::size_t stack_bytes = 0;
  std::size_t fibers = 0;
  std::size_t deepest = 0;
};

constinit spin_lock sites_lock;
constinit std::vector<site>* sites = nullptr;  // guarded by sites_lock; few, so a list will do

void note_locked(const fiber_record& r, const stack& s, std::size_t used) {
  const auto same = std::find_if(sites->begin(), sites->end(), [&](const site& each) {
    return each.started_from == r.started_from() && each.stack_bytes == s.of->size();
  });
  if (same != sites->end()) {
    ++same->fibers;
    same->deepest = std::max(same->deepest, used);
  } else {
    sites->push_back({r.started_from(), s.of->size(), 1, used});
  }
}

/// Twice the deepest: what a signal, an exception or another path may need was not seen.
std::size_t recommended(std::size_t deepest) noexcept {
  const std::size_t page = page_size();
  return std::max(min_stack_size, (2 * deepest + page - 1) / page * page);
}

std::string kib(std::size_t bytes) {
  char text[32];
  const std::size_t tenths = (bytes * 10 + 512) / 1024;
  std::snprintf(text, sizeof text, tenths % 10 == 0 ? "%zu KiB" : "%zu.%zu KiB", tenths / 10,
                tenths % 10);
  return text;
}

// The lock is not held while names are looked up.
std::string table() {
  std::vector<site> all;
  {
    const std::lock_guard hold(sites_lock);
    // Those who have not ended are measured as they are.
    for (runtime_cursor at; at.here() != nullptr; at.next()) {
      at.here()->records.for_each([](const fiber_record& r) {
        const stack* const s = r.bound_stack;
        if (is_alive(r.phase.load(std::memory_order_relaxed)) && s != nullptr)
          note_locked(r, *s, used_bytes(*s));
      });
    }
    all = *sites;
  }
  std::sort(all.begin(), all.end(), [](const site& a, const site& b) {
    return std::pair(b.deepest, b.fibers) < std::pair(a.deepest, a.fibers);
  });
  symbols names;
  std::string text = "heddle: how deep stacks were used (HEDDLE_STACK_WATERMARK):\n";
  char line[128];
  std::snprintf(line, sizeof line, "%12s %10s %14s %12s  %s\n", "deepest", "of", "recommended",
                "fibers", "started by");
  text += line;
  for (const site& each : all) {
    std::snprintf(line, sizeof line, "%12s %10s %14s %12s  ", kib(each.deepest).c_str(),
                  kib(each.stack_bytes).c_str(), kib(recommended(each.deepest)).c_str(),
                  std::to_string(each.fibers).c_str());
    text += line + to_text(names.theirs_before(each.started_from)) + "\n";
  }
  return text;
}

pid_t measured = 0;  // the process; a forked child has nothing to tell

[[maybe_unused]] void report() noexcept {
  if (measured != ::getpid()) return;
  try {
    call_aside([] { say(table()); });
  } catch (const std::bad_alloc&) {
    say("heddle: no memory for the table of stacks\n");
  }
}

}  // namespace

void note_stack_use(const fiber_record& ending) noexcept {
  const stack& s = *ending.bound_stack;
  const std::size_t used = used_bytes_here(s);
  try {
    const std::lock_guard hold(sites_lock);
    note_locked(ending, s, used);
  } catch (const std::bad_alloc&) {  // then it is not in the table
  }
}

void measure_stacks_as_environment_says() {
  static std::atomic_flag done;
  if (done.test_and_set(std::memory_order_relaxed)) return;
  const char* value = std::getenv("HEDDLE_STACK_WATERMARK");
  if (value == nullptr || *value == '\0' || std::string_view(value) == "0") return;
  if (std::string_view(value) != "1") {
    throw std::invalid_argument("heddle: the environment variable HEDDLE_STACK_WATERMARK is '" +
                                std::string(value).substr(0, 64) + "'; it must be 0 or 1");
  }
#if defined(HEDDLE_ASAN)
  say("heddle: HEDDLE_STACK_WATERMARK tells nothing under AddressSanitizer, which keeps locals "
      "elsewhere\n");
#else
  sites = new std::vector<site>;
  measured = ::getpid();
  stacks_are_measured.store(true, std::memory_order_relaxed);
  std::atexit(&report);
#endif
}

}  // namespace heddle::detail
