// SPDX-License-Identifier: BSL-1.0
// heddle: fibers, channels and the rest: the table of contents of what heddle promises.
#pragma once

#include <heddle/debug/dump.hpp>
#include <heddle/debug/metrics.hpp>
#include <heddle/debug/trace.hpp>
#include <heddle/sched/blocking.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/fiber.hpp>
#include <heddle/sched/fiber_local.hpp>
#include <heddle/sched/no_migrate.hpp>
#include <heddle/sched/options.hpp>
#include <heddle/sched/runtime.hpp>
#include <heddle/sched/stats.hpp>
#include <heddle/sched/this_fiber.hpp>
#include <heddle/sync/barrier.hpp>
#include <heddle/sync/channel.hpp>
#include <heddle/sync/condition_variable.hpp>
#include <heddle/sync/condition_variable_any.hpp>
#include <heddle/sync/event.hpp>
#include <heddle/sync/exchanger.hpp>
#include <heddle/sync/future.hpp>
#include <heddle/sync/latch.hpp>
#include <heddle/sync/mutex.hpp>
#include <heddle/sync/parallel.hpp>
#include <heddle/sync/received.hpp>
#include <heddle/sync/select.hpp>
#include <heddle/sync/semaphore.hpp>
#include <heddle/sync/shared_mutex.hpp>
#include <heddle/sync/synchronized.hpp>
#include <heddle/sync/task_group.hpp>
#include <heddle/sync/ticker.hpp>
#include <heddle/sync/wait_group.hpp>
