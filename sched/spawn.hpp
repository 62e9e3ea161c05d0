// SPDX-License-Identifier: BSL-1.0
// spawn: from a callable to a queued fiber. The callable and its arguments are decayed and
//   constructed in place, once, in the fiber's record (on the heap if they are larger than
//   fiber_record::inline_bytes), and destroyed on the fiber before its end is announced.
#pragma once

#include <heddle/fiber/record.hpp>
#include <heddle/sched/cancel.hpp>
#include <heddle/sched/ending.hpp>
#include <heddle/sched/stop.hpp>

#include <cstddef>
#include <functional>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle::detail {

class runtime_state;

/// The runtime that a fiber started here and now belongs to.
runtime_state& spawning_runtime();
fiber_record* new_fiber(runtime_state& rt, std::size_t stack_size);
void discard_fiber(fiber_record* r) noexcept;
void start_fiber(fiber_record* r) noexcept;
void name_fiber(fiber_record& r, std::string_view name);

/// Where it stands in the code. What starts fibers for users is inlined into their code, up to
/// here: reports say whose code that was.
[[gnu::always_inline]] inline const void* this_place() noexcept {
  const void* here;
#if defined(__x86_64__)
  asm volatile("leaq 0(%%rip), %0" : "=r"(here));
#elif defined(__aarch64__)
  asm volatile("adr %0, ." : "=r"(here));
#endif
  return here;
}

template <class F>
inline constexpr bool is_std_function = false;
template <class S>
inline constexpr bool is_std_function<std::function<S>> = true;

/// Throws std::invalid_argument for a null pointer or an empty std::function.
template <class F>
void refuse_null(const F& f) {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F> || is_std_function<F>) {
    if (f == nullptr) {
      throw std::invalid_argument("heddle: the function to run is null or empty");
    }
  }
}

template <class F, class... A>
inline constexpr bool takes_token =
    std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<A>...>;

/// A decayed callable and its arguments.
template <class F, class... A>
class bound_call {
 public:
  template <class F2, class... A2>
  explicit bound_call(std::in_place_t, F2&& f, A2&&... args)
      : f_(std::forward<F2>(f)), args_(std::forward<A2>(args)...) {
    refuse_null(f_);
  }
  decltype(auto) operator()(fiber_record& self) {
    return call([&] { return stop_source_of(self).get_token(); });
  }
  /// With what `token()` returns, where the callable takes a token.
  template <class Token>
  decltype(auto) call([[maybe_unused]] Token token) {
    return std::apply(
        [&](A&... args) -> decltype(auto) {
          if constexpr (takes_token<F, A...>) {
            return std::invoke(std::move(f_), token(), std::move(args)...);
          } else {
            return std::invoke(std::move(f_), std::move(args)...);
          }
        },
        args_);
  }

 private:
  [[no_unique_address]] F f_;
  [[no_unique_address]] std::tuple<A...> args_;
};

template <class F, class... A>
using bound_call_for = bound_call<std::decay_t<F>, std::decay_t<A>...>;

template <class F, class... A>
using call_result =
    decltype(std::declval<bound_call_for<F, A...>&>()(std::declval<fiber_record&>()));

/// What a fiber runs: the body, under the rule for exceptions that nobody takes.
template <class Body>
void run_body(fiber_record& self) noexcept {
  auto* body = static_cast<Body*>(self.callable());
  try {
    static_cast<void>((*body)(self));
  } catch (const cancelled&) {
    // Its end, quietly.
  } catch (...) {
    die_of_exception(self);
  }
  if constexpr (sizeof(Body) <= fiber_record::inline_bytes &&
                alignof(Body) <= alignof(std::max_align_t)) {
    body->~Body();
  } else {
    delete body;
    self.callable_on_heap = false;  // for who looks at it: there is none any more
    self.works_for_at &= fiber_record::may_cancel_it;
  }
}

/// Makes a fiber that will run a Body made from `parts`; not started. It has `references`: its own
/// and those of its handles; `from` is the place that starts it.
template <class Body, class... Parts>
fiber_record* make_fiber(const void* from, runtime_state& rt, std::size_t stack_size,
                         std::uint32_t references, std::string_view name, Parts&&... parts) {
  fiber_record* r = new_fiber(rt, stack_size);
  r->set_started_from(from);
  try {
    if (!name.empty()) name_fiber(*r, name);
    if constexpr (sizeof(Body) <= fiber_record::inline_bytes &&
                  alignof(Body) <= alignof(std::max_align_t)) {
      ::new (static_cast<void*>(r->storage)) Body(std::forward<Parts>(parts)...);
    } else {
      r->put_callable_at({new Body(std::forward<Parts>(parts)...), sizeof(Body)});
    }
  } catch (...) {
    discard_fiber(r);
    throw;
  }
  r->entry = &run_body<Body>;
  r->references.store(references, std::memory_order_relaxed);
  return r;
}

}  // namespace heddle::detail
