// SPDX-License-Identifier: BSL-1.0
// livelock: the hint that fibers do nothing but yield (sched/watchdog.hpp).
#include <heddle/base/assert.hpp>
#include <heddle/debug/report.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/sched/watchdog.hpp>

#include <cstdio>
#include <new>
#include <sstream>

namespace heddle::detail {

void report_livelock(runtime_state& rt, std::int64_t for_ns, std::uint64_t switches) noexcept {
  char text[400];
  std::snprintf(
      text, sizeof text,
      "a livelock? For %.0f s the workers of a runtime have gone from fiber to fiber %llu "
      "times, and no fiber has gone to sleep, woken another, started or ended: those "
      "that run only yield, or try. What they wait for they should wait for in a channel, "
      "a lock or an event. If they compute, all is well.",
      static_cast<double>(for_ns) * 1e-9, static_cast<unsigned long long>(switches));
  try {
    roll_call all;
    all.visit(rt);
    std::ostringstream report;
    report << "heddle: " << text << "\n";
    all.write_fibers(report);
    say(report.str());
  } catch (const std::bad_alloc&) {
    complain("%s", text);
  }
}

}  // namespace heddle::detail
