// SPDX-License-Identifier: BSL-1.0
// switch: leaves one context for another. The only place that jumps; the only user of
//   Boost.Context. Callers: the worker.
//
//   Nothing here knows the thread: what belongs to it is handed in, and handed on to the one who
//   arrives. A context that comes back must ask anew for whatever it knew of its thread.
#pragma once

#include <heddle/fiber/context.hpp>
#include <heddle/fiber/stack.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <cstdint>

#if defined(HEDDLE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(HEDDLE_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateBenignRaceSized(const char* file, int line, const volatile void* at, std::size_t bytes,
                             const char* why);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace heddle::detail {

/// What Boost.Context hands to a context's entry: `fctx` and `data` are those of an arrival.
using raw_arrival = boost::context::detail::transfer_t;
using entry_fn = void (*)(raw_arrival);

/// How far above a saved frame's start its registers begin: since Boost 1.80 there is room for a
/// canary before them. Known once a context was prepared.
extern std::size_t registers_offset;

/// What the one who arrives learns: where the one who left can be resumed, and the words of the
/// thread that it is on.
struct arrival {
  void* left_sp;
  thread_words* thread;
  explicit arrival(raw_arrival raw) noexcept
      : left_sp(raw.fctx), thread(static_cast<thread_words*>(raw.data)) {}
};

/// Makes `target` start in `entry` at the top of `place`, with the default floating-point
/// environment and no exception in flight; returns the frame where it does. To the tools it has no
/// past but that of `nobody`.
void* prepare_context(context& target, const stack& place, entry_fn entry,
                      const context& nobody) noexcept;

/// Makes `target`, which has not started, go on at once on the stack of `ended`, whose work is
/// done. Not under ThreadSanitizer (see worker::reuses_last_stack).
void adopt_stack(context& target, const context& ended, const thread_words& thread) noexcept;

/// Makes a context under whose name things can be done (tool_guise), and that never runs.
void prepare_guise(context& target) noexcept;

/// Tells the tools about the stack that the calling OS thread came with; call on it.
void prepare_home(context& home) noexcept;

/// Makes `ended` stand for `from`, which is about to end, where the tools ask who leaves.
inline void take_over_tools([[maybe_unused]] context& ended,
                            [[maybe_unused]] const context& from) noexcept {
#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
  ended = from;
#endif
}

/// Tells the tools that `gone` will not run again. Call when it is off its stack.
inline void retire_context([[maybe_unused]] context& gone) noexcept {
#if defined(HEDDLE_TSAN)
  if (gone.tsan_fiber != nullptr) __tsan_destroy_fiber(gone.tsan_fiber);
  gone.tsan_fiber = nullptr;
#endif
}

/// While one is alive, ThreadSanitizer attributes what runs to `other`, with no edge between the
/// two; plain accesses are not looked at, since the frames are still those of the one who stands
/// here.
class tool_guise {
 public:
  explicit tool_guise([[maybe_unused]] const context& other) noexcept {
#if defined(HEDDLE_TSAN)
    __tsan_switch_to_fiber(other.tsan_fiber, __tsan_switch_to_fiber_no_sync);
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  ~tool_guise() {
#if defined(HEDDLE_TSAN)
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    __tsan_switch_to_fiber(self_, __tsan_switch_to_fiber_no_sync);
#endif
  }
  tool_guise(const tool_guise&) = delete;
  tool_guise& operator=(const tool_guise&) = delete;

#if defined(HEDDLE_TSAN)
 private:
  void* self_ = __tsan_get_current_fiber();
#endif
};

namespace switching {

#if defined(__x86_64__)
/// The saved frame of Boost.Context starts with MXCSR and the x87 control word. The six low bits of
/// MXCSR are sticky exception flags, which the ABI does not preserve over calls. Where two contexts
/// differ in them, reloading MXCSR costs some 55 ns on Intel when switches follow each other
/// quickly; so the target takes over the flags that are set now, and keeps its control bits.
///
/// To read MXCSR costs 5 ns itself (on an EPYC, where a jump is 4.8), so that is done only every
/// `period` switches: a flag that a frame once took over stays with it, so that those who switch
/// often come to agree soon. An odd period, or of two who alternate only one would ever be asked.
inline void carry_sticky_flags(void* target_sp, thread_words& thread, std::uint64_t turn) noexcept {
  constexpr std::uint32_t sticky = 0x3F, period = 13;
  if (turn < thread.flags_at) [[likely]]
    return;
  thread.flags_at = turn + period;
  const std::uint32_t now = __builtin_ia32_stmxcsr();
  auto* saved = static_cast<std::uint32_t*>(target_sp);
  *saved |= now & sticky;
}
#else
inline void carry_sticky_flags(void*, thread_words&, std::uint64_t) noexcept {}
#endif

#if defined(__aarch64__)
inline std::uint64_t read_fpcr() noexcept {
  std::uint64_t value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
inline void write_fpcr(std::uint64_t value) noexcept { asm volatile("msr fpcr, %0" ::"r"(value)); }
#endif

/// Boost's jump_fcontext(sp, thread), entered by a jump instead of a call.
///
/// It comes back by a jump too, on another stack. A call would leave an entry on the processor's
/// stack of predicted returns that no return ever takes, and every return after the arrival would
/// be mispredicted: 8 ns each, for as many frames as the one who arrives has below it (measured: 29
/// ns a switch with three frames, 5.4 ns so). Pushing the return address by hand keeps that stack
/// even, and contexts that park through the same calls then predict each other's returns. What
/// holds `push` together with compiled code: its users are built without a red zone.
inline raw_arrival jump(void* sp, void* thread) noexcept {
#if defined(__x86_64__)
  void* from;
  void* data;
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "jmp jump_fcontext@PLT\n"
      "1:"
      : "=a"(from), "=d"(data), "+D"(sp), "+S"(thread)
      :
      : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#if defined(__AVX512F__)
        ,
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",
        "k7"
#endif
  );
  return {from, data};
#else
  return boost::context::detail::jump_fcontext(sp, thread);
#endif
}

}  // namespace switching

/// Call first thing after arriving in `self`.
inline void finish_switch([[maybe_unused]] context& self) noexcept {
#if defined(HEDDLE_ASAN)
  __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
}

/// No exception is in flight and errno is 0, as for a context that starts.
inline void clear_words(const thread_words& thread) noexcept {
  *thread.exceptions = {};
  *thread.error = 0;
}

/// Instead of finish_switch, at the entry of `self`.
inline void begin_context(context& self, const thread_words& thread) noexcept {
  finish_switch(self);
  clear_words(thread);
#if defined(__aarch64__)
  if (switching::read_fpcr() != 0) switching::write_fpcr(0);
#endif
}

/// Goes from `from` to `to`, whose frame is `sp`, on this OS thread, whose words are `thread`;
/// `turn` grows from switch to switch. Returns when somebody switches back, perhaps on another
/// thread; finish_switch is done by then. With `dying`, `from` never comes back.
template <bool dying = false>
inline arrival switch_context(context& from, [[maybe_unused]] context& to, void* sp,
                              thread_words& thread, std::uint64_t turn) noexcept {
  const exception_state exceptions = *thread.exceptions;
  const int error = *thread.error;
  switching::carry_sticky_flags(sp, thread, turn);
#if defined(__aarch64__)
  const std::uint64_t fpcr = switching::read_fpcr();
#endif
#if defined(HEDDLE_ASAN)
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.fake_stack, to.stack_bottom,
                                 to.stack_bytes);
#endif
#if defined(HEDDLE_TSAN)
  __tsan_switch_to_fiber(to.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  const arrival back(switching::jump(sp, &thread));
  finish_switch(from);
  *back.thread->exceptions = exceptions;
  *back.thread->error = error;
#if defined(__aarch64__)
  if (fpcr != switching::read_fpcr()) switching::write_fpcr(fpcr);
#endif
  return back;
}

}  // namespace heddle::detail
