// SPDX-License-Identifier: BSL-1.0
// dump: all fibers of all runtimes.
#include <heddle/debug/dump.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/sched/process.hpp>

namespace heddle {

void dump(std::ostream& out) {
  detail::roll_call all;
  for (detail::runtime_cursor at; at.here() != nullptr; at.next()) all.visit(*at.here());
  all.write_summary(out);
  all.write_fibers(out);
}

}  // namespace heddle
