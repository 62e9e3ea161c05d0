// SPDX-License-Identifier: BSL-1.0
// long_run: the report of a fiber that does not let others run (sched/watchdog.hpp).
#include <heddle/base/assert.hpp>
#include <heddle/debug/report.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/debug/running.hpp>
#include <heddle/sched/watchdog.hpp>

#include <cstdio>
#include <new>
#include <sstream>

namespace heddle::detail {

void report_long_run(worker& w, fiber_record& r, std::int64_t ran_ns,
                     std::uint64_t waited) noexcept {
  char text[700];
  std::snprintf(text, sizeof text,
                "%s has run for %.1f s without a switch while others waited on its worker (%llu so "
                "far). Put blocking calls into heddle::blocking(), and this_fiber::yield() into "
                "long loops.",
                fiber_label(r).text, static_cast<double>(ran_ns) * 1e-9,
                static_cast<unsigned long long>(waited));
  try {
    sighting s;
    s.meet(r);
    s.state = fiber_state::runs;
    s.frame_count = addresses_of_running(w, s.id, s.frames.data(), s.frames.size());
    std::ostringstream report;
    report << "heddle: " << text
           << (sleeps_in_system(w) ? " It is in a call of the system, and sleeps there.\n" : "\n");
    roll_call().write_trace(report, s);
    say(report.str());
  } catch (const std::bad_alloc&) {
    complain("%s", text);
  }
}

}  // namespace heddle::detail
