// SPDX-License-Identifier: BSL-1.0
// unwind: heddle_walk_from(registers, f, x) calls f(x). Its unwind information says that it was
//   called from where the context was left: that its caller's registers lie in the frame that
//   Boost.Context saved; or heddle_seen_from_outside, which saves them as that does.
#include <heddle/fiber/switch.hpp>
#include <heddle/fiber/unwind.hpp>

#include <ucontext.h>
#include <unwind.h>

#include <cstdint>

extern "C" {
void heddle_walk_from(const void* registers, void (*f)(void*), void* x) noexcept;
}

#if defined(__x86_64__)
// MXCSR, x87; 0x08 r12 r13 r14 r15 rbx rbp; 0x38 where it goes on; above: the stack as it was left.
asm(R"(
  .text
  .p2align 4
  .globl heddle_walk_from
  .hidden heddle_walk_from
  .type heddle_walk_from, @function
heddle_walk_from:
  .cfi_startproc
  pushq %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbx, 0
  movq %rdi, %rbx
  movq %rsi, %rax
  movq %rdx, %rdi
  .cfi_remember_state
  .cfi_def_cfa rbx, 0x40
  .cfi_offset rip, -0x08
  .cfi_offset rbp, -0x10
  .cfi_offset rbx, -0x18
  .cfi_offset r15, -0x20
  .cfi_offset r14, -0x28
  .cfi_offset r13, -0x30
  .cfi_offset r12, -0x38
  call *%rax
  .cfi_restore_state
  popq %rbx
  .cfi_def_cfa rsp, 8
  .cfi_restore rbx
  ret
  .cfi_endproc
  .size heddle_walk_from, . - heddle_walk_from

  .p2align 4
  .globl heddle_seen_from_outside
  .hidden heddle_seen_from_outside
  .type heddle_seen_from_outside, @function
heddle_seen_from_outside:
  .cfi_startproc
  pushq %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbp, 0
  pushq %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbx, 0
  pushq %r15
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r15, 0
  pushq %r14
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r14, 0
  pushq %r13
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r13, 0
  pushq %r12
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r12, 0
  pushq $0
  .cfi_adjust_cfa_offset 8
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rsp, %rsi
  call *%rax
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %r12
  .cfi_adjust_cfa_offset -8
  .cfi_restore r12
  popq %r13
  .cfi_adjust_cfa_offset -8
  .cfi_restore r13
  popq %r14
  .cfi_adjust_cfa_offset -8
  .cfi_restore r14
  popq %r15
  .cfi_adjust_cfa_offset -8
  .cfi_restore r15
  popq %rbx
  .cfi_adjust_cfa_offset -8
  .cfi_restore rbx
  popq %rbp
  .cfi_adjust_cfa_offset -8
  .cfi_restore rbp
  ret
  .cfi_endproc
  .size heddle_seen_from_outside, . - heddle_seen_from_outside
)");
#elif defined(__aarch64__)
// 0x00 d8 to d15; 0x40 x19 to x28; 0x90 x29 x30; 0xa0 where it goes on; above: the stack as it was
// left.
asm(R"(
  .text
  .p2align 4
  .globl heddle_walk_from
  .hidden heddle_walk_from
  .type heddle_walk_from, %function
heddle_walk_from:
  .cfi_startproc
  stp x29, x30, [sp, #-32]!
  .cfi_adjust_cfa_offset 32
  .cfi_rel_offset x29, 0
  .cfi_rel_offset x30, 8
  str x19, [sp, #16]
  .cfi_rel_offset x19, 16
  mov x19, x0
  mov x0, x2
  .cfi_remember_state
  .cfi_def_cfa x19, 0xb0
  .cfi_offset x19, -0x70
  .cfi_offset x20, -0x68
  .cfi_offset x21, -0x60
  .cfi_offset x22, -0x58
  .cfi_offset x23, -0x50
  .cfi_offset x24, -0x48
  .cfi_offset x25, -0x40
  .cfi_offset x26, -0x38
  .cfi_offset x27, -0x30
  .cfi_offset x28, -0x28
  .cfi_offset x29, -0x20
  .cfi_offset x30, -0x10
  blr x1
  .cfi_restore_state
  ldr x19, [sp, #16]
  .cfi_restore x19
  ldp x29, x30, [sp], #32
  .cfi_def_cfa sp, 0
  .cfi_restore x29
  .cfi_restore x30
  ret
  .cfi_endproc
  .size heddle_walk_from, . - heddle_walk_from

  .p2align 4
  .globl heddle_seen_from_outside
  .hidden heddle_seen_from_outside
  .type heddle_seen_from_outside, %function
heddle_seen_from_outside:
  .cfi_startproc
  sub sp, sp, #0xb0
  .cfi_adjust_cfa_offset 0xb0
  stp d8, d9, [sp, #0x00]
  stp d10, d11, [sp, #0x10]
  stp d12, d13, [sp, #0x20]
  stp d14, d15, [sp, #0x30]
  stp x19, x20, [sp, #0x40]
  stp x21, x22, [sp, #0x50]
  stp x23, x24, [sp, #0x60]
  stp x25, x26, [sp, #0x70]
  stp x27, x28, [sp, #0x80]
  stp x29, x30, [sp, #0x90]
  .cfi_rel_offset x29, 0x90
  .cfi_rel_offset x30, 0x98
  str x30, [sp, #0xa0]
  mov x2, x0
  mov x0, x1
  mov x1, sp
  blr x2
  ldp x29, x30, [sp, #0x90]
  .cfi_restore x29
  .cfi_restore x30
  add sp, sp, #0xb0
  .cfi_adjust_cfa_offset -0xb0
  ret
  .cfi_endproc
  .size heddle_seen_from_outside, . - heddle_seen_from_outside
)");
#endif

namespace heddle::detail {

namespace {

struct walk {
  const void** into;
  std::size_t room;
  std::size_t skip;                   // frames that are ours
  std::uintptr_t interrupted_at = 0;  // or: all before this one is
  std::size_t count = 0;
};

_Unwind_Reason_Code visit(_Unwind_Context* at, void* x) noexcept {
  auto& w = *static_cast<walk*>(x);
  if (w.skip > 0) {
    --w.skip;
    return _URC_NO_REASON;
  }
  int is_place_itself = 0;
  auto address = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(at, &is_place_itself));
  if (w.interrupted_at != 0) {
    if (is_place_itself == 0 || address != w.interrupted_at) return _URC_NO_REASON;
    w.interrupted_at = 0;
  }
  if (address == 0 || w.count == w.room) return _URC_END_OF_STACK;
  if (is_place_itself != 0) ++address;
  w.into[w.count++] = reinterpret_cast<const void*>(address);
  return _URC_NO_REASON;
}

std::uintptr_t place_in(const void* machine) noexcept {
  const auto& context = static_cast<const ucontext_t*>(machine)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(context.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<std::uintptr_t>(context.pc);
#endif
}

[[gnu::noinline]] void run(void* w) noexcept {
  _Unwind_Backtrace(&visit, w);
  asm volatile("");  // no tail call: the frame is one of those that are skipped
}

}  // namespace

[[gnu::noinline]] std::size_t addresses_here(const void** into, std::size_t room) noexcept {
  walk w{into, room, 2};
  run(&w);
  asm volatile("");
  return w.count;
}

std::size_t addresses_of(const void* frame, const void** into, std::size_t room) noexcept {
  return addresses_from(static_cast<const std::byte*>(frame) + registers_offset, into, room);
}

std::size_t addresses_from(const void* registers, const void** into, std::size_t room) noexcept {
  walk w{into, room, 2};
  heddle_walk_from(registers, &run, &w);
  return w.count;
}

std::size_t addresses_at(const void* machine, const void** into, std::size_t room) noexcept {
  walk w{into, room, 0, place_in(machine)};
  run(&w);
  return w.count;
}

namespace {

/// Counts on from where a repetition was found.
struct repetition {
  const recursion& found;
  std::uintptr_t interrupted_at;
  std::size_t skip;
  std::size_t seen = 0;
};

constexpr std::size_t most_seen = 10'000'000;

_Unwind_Reason_Code count(_Unwind_Context* at, void* x) noexcept {
  auto& r = *static_cast<repetition*>(x);
  const auto address = static_cast<std::uintptr_t>(_Unwind_GetIP(at));
  if (r.interrupted_at != 0) {
    if (address != r.interrupted_at) return _URC_NO_REASON;
    r.interrupted_at = 0;
  }
  if (r.skip > 0) {
    --r.skip;
    return _URC_NO_REASON;
  }
  if (reinterpret_cast<const void*>(address) != r.found.calls[r.seen % r.found.period] ||
      r.seen == most_seen) {
    return _URC_END_OF_STACK;
  }
  ++r.seen;
  return _URC_NO_REASON;
}

}  // namespace

recursion recursion_at(const void* machine) noexcept {
  recursion found;
  constexpr std::size_t most_calls = sizeof found.calls / sizeof found.calls[0];
  constexpr std::size_t window = 8 * most_calls;
  constexpr std::size_t most_skipped = 8;  // what the last repetition called
  const void* first[most_skipped + window];
  const std::size_t got = addresses_at(machine, first, most_skipped + window);
  for (std::size_t skip = 1; skip < most_skipped && skip + window <= got; ++skip) {
    for (std::size_t period = 1; period <= most_calls; ++period) {
      const void** const from = first + skip;
      std::size_t same = period;
      while (same < window && from[same] == from[same - period]) ++same;
      if (same < window) continue;
      found.period = period;
      for (std::size_t i = 0; i < period; ++i) found.calls[i] = from[i];
      repetition all{found, place_in(machine), skip};
      _Unwind_Backtrace(&count, &all);
      found.depth = all.seen / period;
      return found;
    }
  }
  return found;
}

}  // namespace heddle::detail
