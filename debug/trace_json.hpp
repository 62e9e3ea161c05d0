// SPDX-License-Identifier: BSL-1.0
// trace_json: the rings of a trace as Chrome's trace format has them ("Trace Event Format",
// Google).
#pragma once

#include <heddle/sched/tracing.hpp>

#include <cstdint>
#include <cstdio>

namespace heddle::detail {

/// An instant by both clocks.
struct trace_instant {
  std::uint64_t ticks = 0;
  std::int64_t ns = 0;
};
struct trace_span {
  trace_instant from, to;
};

/// `first`: the rings, linked; null: none. What goes wrong is told by ferror(). May throw
/// std::bad_alloc.
void write_trace_json(std::FILE* out, const trace_ring* first, const trace_span& span);

}  // namespace heddle::detail
