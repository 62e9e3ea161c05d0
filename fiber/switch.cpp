// SPDX-License-Identifier: BSL-1.0
// switch: making a context that has not run yet.
#include <heddle/fiber/switch.hpp>
#include <heddle/base/assert.hpp>

#if defined(HEDDLE_ASAN)
#include <pthread.h>
#endif

namespace heddle::detail {

namespace {

#if defined(__x86_64__)
struct saved_control {
  std::uint32_t mxcsr;
  std::uint16_t x87;
};

/// make_fcontext copies the floating-point control words of its caller; a fiber starts with the
/// defaults of a new process instead.
void set_default_environment(void* sp) noexcept {
  auto* saved = static_cast<saved_control*>(sp);
  [[maybe_unused]] static const bool known = [saved] {
    std::uint16_t x87 = 0;
    asm volatile("fnstcw %0" : "=m"(x87));
    HEDDLE_CHECK(saved->mxcsr == __builtin_ia32_stmxcsr() && saved->x87 == x87,
                 "this Boost.Context lays out its frames in a way that heddle does not know; "
                 "build it without BOOST_USE_TSX");
    return true;
  }();
  saved->mxcsr = 0x1F80;
  saved->x87 = 0x037F;
}
#else
void set_default_environment(void*) noexcept {}
#endif

void start_fresh(context& target) noexcept {
  target.exceptions = {};
#if defined(__aarch64__)
  target.fpcr = 0;
#endif
#if defined(HEDDLE_TSAN)
  target.tsan_fiber = __tsan_create_fiber(0);
#endif
}

}  // namespace

void prepare_context(context& target, const stack& place, entry_fn entry) noexcept {
  start_fresh(target);
#if defined(HEDDLE_ASAN)
  target.fake_stack = nullptr;
  target.stack_bottom = place.bottom;
  target.stack_bytes = place.bytes();
  // The frames of the last fiber that ended here were left, not returned from.
  constexpr std::size_t left_behind = 16 * 1024;
  __asan_unpoison_memory_region(place.top - left_behind, left_behind);
#endif
  target.sp = boost::context::detail::make_fcontext(place.top, place.bytes(), entry);
  set_default_environment(target.sp);
}

void prepare_home([[maybe_unused]] context& home) noexcept {
#if defined(HEDDLE_ASAN)
  pthread_attr_t attributes;
  void* low = nullptr;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &home.stack_bytes);
    pthread_attr_destroy(&attributes);
  }
  home.stack_bottom = low;
#endif
#if defined(HEDDLE_TSAN)
  home.tsan_fiber = __tsan_get_current_fiber();
#endif
#if defined(__aarch64__)
  home.fpcr = switching::read_fpcr();
#endif
}

void adopt_stack(context& target, [[maybe_unused]] context& ended,
                 exception_state* exceptions) noexcept {
  start_fresh(target);
  *exceptions = {};
#if defined(HEDDLE_ASAN)
  target.stack_bottom = ended.stack_bottom;
  target.stack_bytes = ended.stack_bytes;
#endif
#if defined(HEDDLE_TSAN)
  __tsan_switch_to_fiber(target.tsan_fiber, __tsan_switch_to_fiber_no_sync);
  retire_context(ended);
#endif
}

}  // namespace heddle::detail
