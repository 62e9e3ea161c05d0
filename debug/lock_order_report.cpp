// SPDX-License-Identifier: BSL-1.0
// lock_order_report: locks that are taken in a circle (sync/lock_order.hpp).
#include <heddle/debug/report.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/sync/lock_order.hpp>

#include <algorithm>
#include <new>
#include <sstream>

namespace heddle::detail {

void report_lock_order(const lock_step* steps, std::size_t count) noexcept {
  try {
    std::ostringstream text;
    text << "heddle: lock order: " << count
         << " locks are taken in a circle, which may end in a deadlock:\n";
    roll_call traces;
    for (std::size_t i = 0; i < count; ++i) {
      const lock_step& s = steps[i];
      text << "  " << s.by << " locked " << s.taken_kind << " " << s.taken << " while it owned "
           << s.under_kind << " " << s.under << ":\n";
      sighting where;
      where.frame_count = std::min(s.frame_count, where.frames.size());
      std::copy_n(s.frames, where.frame_count, where.frames.begin());
      traces.write_trace(text, where);
    }
    say(text.str());
  } catch (const std::bad_alloc&) {
    say("heddle: lock order: locks are taken in a circle; no memory to say which\n");
  }
}

}  // namespace heddle::detail
