// SPDX-License-Identifier: BSL-1.0
// switch: making a context that has not run yet.
#include <heddle/base/assert.hpp>
#include <heddle/fiber/switch.hpp>

#include <cerrno>
#include <cstddef>
#include <cstring>

#if defined(HEDDLE_ASAN)
#include <pthread.h>
#endif

namespace heddle::detail {

constinit std::size_t registers_offset = 0;

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t default_mxcsr = 0x1F80;
constexpr std::uint16_t default_x87 = 0x037F;

struct saved_control {
  std::uint32_t mxcsr;
  std::uint16_t x87;
};

/// Whether MXCSR is written in no time and read slowly (measured on an EPYC: 0.7 and 7 ns); on
/// Intel it is the other way round where the flags differ. Known once a context has been made, not
/// by an initialiser: before that ran, the program's own ones may have started fibers.
constinit bool writing_is_faster = false;

/// make_fcontext copies the floating-point control words of its caller; a fiber starts with the
/// defaults of a new process instead.
void set_default_environment(void* sp, entry_fn entry) noexcept {
  auto* saved = static_cast<saved_control*>(sp);
  [[maybe_unused]] static const bool known = [saved, entry] {
    std::uint16_t x87 = 0;
    asm volatile("fnstcw %0" : "=m"(x87));
    // A new frame has the entry in the place of rbx.
    entry_fn in_rbx[2];
    std::memcpy(&in_rbx, reinterpret_cast<const std::byte*>(saved) + 0x28, sizeof in_rbx);
    HEDDLE_CHECK(saved->mxcsr == __builtin_ia32_stmxcsr() && saved->x87 == x87 &&
                     (in_rbx[0] == entry || in_rbx[1] == entry),
                 "this Boost.Context lays out its frames in a way that heddle does not know; "
                 "build it without BOOST_USE_TSX");
    registers_offset = in_rbx[0] == entry ? 0 : 8;
    __builtin_cpu_init();
    writing_is_faster = __builtin_cpu_is("amd") != 0;
    return true;
  }();
  saved->mxcsr = default_mxcsr;
  saved->x87 = default_x87;
}

/// The same for the registers themselves, where no jump loads them.
void load_default_environment() noexcept {
  if (writing_is_faster) {
    __builtin_ia32_ldmxcsr(default_mxcsr);
  } else {
    constexpr std::uint32_t sticky = 0x3F;
    const std::uint32_t mxcsr = __builtin_ia32_stmxcsr();
    if ((mxcsr & ~sticky) != default_mxcsr) {
      __builtin_ia32_ldmxcsr(default_mxcsr | (mxcsr & sticky));
    }
  }
  std::uint16_t x87 = 0;
  asm volatile("fnstcw %0" : "=m"(x87));
  if (x87 != default_x87) asm volatile("fldcw %0" ::"m"(default_x87));
}
#elif defined(__aarch64__)
void set_default_environment(void*, entry_fn) noexcept {}

void load_default_environment() noexcept {
  if (switching::read_fpcr() != 0) switching::write_fpcr(0);
}
#endif

}  // namespace

void prepare_guise([[maybe_unused]] context& target) noexcept {
#if defined(HEDDLE_TSAN)
  target.tsan_fiber = __tsan_create_fiber(0);
#endif
}

void* prepare_context([[maybe_unused]] context& target, const stack& place, entry_fn entry,
                      [[maybe_unused]] const context& nobody) noexcept {
#if defined(HEDDLE_ASAN)
  target.fake_stack = nullptr;
  target.stack_bottom = place.bottom;
  target.stack_bytes = place.bytes();
  // The frames of the last fiber that ended here were left, not returned from.
  constexpr std::size_t left_behind = 16 * 1024;
  __asan_unpoison_memory_region(place.top - left_behind, left_behind);
#endif
  void* const sp = boost::context::detail::make_fcontext(place.top, place.bytes(), entry);
  HEDDLE_DCHECK(static_cast<std::byte*>(sp) + entry_room >= place.top,
                "a context that has not run takes more room than its entry leaves");
  set_default_environment(sp, entry);
#if defined(HEDDLE_TSAN)
  // What its creator did so far happens before all that it does; and who creates it is whoever ran
  // here last.
  const tool_guise unconnected(nobody);
  target.tsan_fiber = __tsan_create_fiber(0);
#endif
  return sp;
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
  // Fibers that share a thread share this word without synchronisation; a switch swaps it.
  AnnotateBenignRaceSized(__FILE__, __LINE__, &errno, sizeof errno, "errno goes with the fiber");
#endif
}

void adopt_stack([[maybe_unused]] context& target, [[maybe_unused]] const context& ended,
                 const thread_words& thread) noexcept {
  load_default_environment();
  clear_words(thread);
#if defined(HEDDLE_ASAN)
  target.stack_bottom = ended.stack_bottom;
  target.stack_bytes = ended.stack_bytes;
#endif
}

}  // namespace heddle::detail
