// SPDX-License-Identifier: BSL-1.0
// metrics: runtime_stats as text.
#include <heddle/debug/metrics.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/stats.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace heddle {

namespace {

struct metric {
  const char* name;
  const char* type;
  const char* help;
  std::uint64_t runtime_stats::*value;
};

constexpr metric metrics[] = {
    {"heddle_fibers", "gauge", "Fibers that have started and not ended.",
     &runtime_stats::fibers_alive},
    {"heddle_fibers_spawned_total", "counter", "Fibers ever started.",
     &runtime_stats::fibers_spawned},
    {"heddle_switches_total", "counter", "Times a fiber was given a worker.",
     &runtime_stats::switches},
    {"heddle_steals_total", "counter", "Times a worker took fibers from another.",
     &runtime_stats::steals},
    {"heddle_parks_total", "counter", "Times a fiber went to sleep.", &runtime_stats::parks},
    {"heddle_wakes_total", "counter", "Times a fiber was made runnable again.",
     &runtime_stats::wakes},
    {"heddle_timers_pending", "gauge", "Waits of fibers that time will end.",
     &runtime_stats::timers_pending},
    {"heddle_long_runs_total", "counter", "Fibers that ran too long while others waited.",
     &runtime_stats::long_runs},
    {"heddle_spare_workers", "gauge", "Spare workers that are at work.",
     &runtime_stats::spare_workers},
    {"heddle_stacks_in_use", "gauge", "Stacks bound to fibers that have started.",
     &runtime_stats::stacks_in_use},
    {"heddle_stacks_pooled", "gauge", "Stacks that are free.", &runtime_stats::stacks_pooled},
    {"heddle_stack_reserved_bytes", "gauge", "Address space reserved for stacks.",
     &runtime_stats::stack_bytes},
};

}  // namespace

std::string metrics_text() {
  std::vector<std::pair<std::string, runtime_stats>> all;
  for (detail::runtime_cursor at; at.here() != nullptr; at.next())
    all.emplace_back(std::to_string(at.here()->number), at.here()->stats());
  std::string text;
  for (const metric& m : metrics) {
    text.append("# HELP ").append(m.name).append(" ").append(m.help).append("\n");
    text.append("# TYPE ").append(m.name).append(" ").append(m.type).append("\n");
    for (auto each = all.rbegin(); each != all.rend(); ++each) {
      text.append(m.name).append("{runtime=\"").append(each->first).append("\"} ");
      text.append(std::to_string(each->second.*m.value)).append("\n");
    }
  }
  return text;
}

}  // namespace heddle
