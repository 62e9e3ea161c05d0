// SPDX-License-Identifier: BSL-1.0
// metrics: what runtimes count, for a monitoring system.
#pragma once

#include <string>

namespace heddle {

/// The counters of every runtime (runtime_stats) in Prometheus' text format (version 0.0.4), to be
/// served as `text/plain; version=0.0.4`. Each has a label `runtime`, a number that the process
/// gives to its runtimes in the order in which they are made. Counters that only grow end in
/// `_total`.
///
/// Any thread or fiber may call it while everything runs; no cancellation point.
/// \throws std::bad_alloc
std::string metrics_text();

}  // namespace heddle
