// SPDX-License-Identifier: BSL-1.0
// blocking: calls that block an OS thread, kept away from the workers.
#pragma once

#include <heddle/sched/blocking_pool.hpp>
#include <heddle/sched/outcome.hpp>
#include <heddle/sched/spawn.hpp>
#include <heddle/sched/wait.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace heddle {

namespace detail {
/// Runs `job` on a thread for blocking calls if the caller is a fiber; false if it is not.
bool run_blocking(blocking_job& job, bool cancellation_point);
}  // namespace detail

/// Runs `f()` on an OS thread that is kept for blocking calls, while the calling fiber waits;
/// returns its result or rethrows its exception. On a plain thread it calls `f` there and then.
/// Inside, runtime::current() and go() mean the caller's runtime, get_id() is id{}, and a
/// fiber_local is that OS thread's. Calls beyond options::max_blocking queue.
/// \throws std::invalid_argument for a null callable; std::system_error
///   (resource_unavailable_try_again) if there is no thread and none can be started; cancelled: it
///   is a cancellation point until `f` begins, also in the queue, and not after.
template <class F>
auto blocking(F&& f) -> std::invoke_result_t<F&> {
  using result = std::invoke_result_t<F&>;
  struct call : detail::blocking_job {
    std::remove_reference_t<F>* function;
    detail::outcome<result> out;
  };
  detail::refuse_null(f);
  detail::cancellation_point();
  call c;
  c.function = std::addressof(f);
  c.run = [](detail::blocking_job& job) noexcept {
    auto& self = static_cast<call&>(job);
    self.out.set_from([&]() -> result { return std::invoke(*self.function); });
  };
  if (!detail::run_blocking(c, true)) return std::invoke(f);
  return c.out.take();
}

}  // namespace heddle
