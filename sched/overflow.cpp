// SPDX-License-Identifier: BSL-1.0
// overflow: the signal handler. It runs on the alternate stack and calls nothing that allocates.
#include <heddle/base/assert.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/overflow.hpp>
#include <heddle/sched/signal_handler.hpp>
#include <heddle/sched/worker.hpp>

#include <signal.h>

#include <cstdio>
#include <new>

namespace heddle::detail {

namespace {

constexpr std::size_t alternate_bytes = 64 * 1024;
constexpr std::size_t deep = 16;  // repetitions that are told

constinit signal_handler segv, bus;

// A signal handler may not take the record's lock: the fiber itself may hold it.
void report_if_overflow(const std::byte* at, const void* machine) noexcept {
  worker* w = current_worker();
  fiber_record* r = w != nullptr ? w->current() : nullptr;
  if (r == nullptr || r->bound_stack == nullptr) return;
  const stack& s = *r->bound_stack;
  const std::byte* guard_bottom = s.bottom - s.of->guard_bytes();
  if (!s.guarded || at < guard_bottom || at >= s.bottom) return;
  const fiber_extras* extras = r->extras.load(std::memory_order_relaxed);
  const char* name = extras != nullptr ? extras->name.c_str() : "";
  complain(
      "stack overflow in fiber %llu%s%s%s: its stack of %zu KiB is full (the fault was at %p, in "
      "the guard below it). Give it more by fiber_options::stack_size, options::stack_size or "
      "HEDDLE_STACK_SIZE.",
      static_cast<unsigned long long>(r->id.load(std::memory_order_relaxed)),
      name[0] != '\0' ? " '" : "", name, name[0] != '\0' ? "'" : "", s.of->size() / 1024,
      static_cast<const void*>(at));
  const recursion calls = recursion_at(machine);
  if (calls.depth < deep) return;
  char functions[400] = "";
  std::size_t length = 0;
  for (std::size_t i = 0; i < calls.period && length + 1 < sizeof functions; ++i) {
    char place[200];
    write_place(calls.calls[i], place, sizeof place);
    const int n = std::snprintf(functions + length, sizeof functions - length, "%s%s",
                                i > 0 ? ", called by " : "", place);
    length += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  complain("it is a recursion, %zu calls deep: %s", calls.depth * calls.period, functions);
}

void on_fault(int number, siginfo_t* info, void* machine) noexcept {
  report_if_overflow(static_cast<const std::byte*>(info->si_addr), machine);
  const signal_handler& ours = number == SIGSEGV ? segv : bus;
  if (!ours.pass_on(number, info, machine)) {
    // Back to the instruction, which faults again and kills the process as it would have.
    ::signal(number, SIG_DFL);
  }
}

}  // namespace

void install_overflow_handler() noexcept {
  segv.install(SIGSEGV, &on_fault, 0);
  bus.install(SIGBUS, &on_fault, 0);
}

overflow_guard::overflow_guard() noexcept : memory_(new (std::nothrow) std::byte[alternate_bytes]) {
  if (memory_ == nullptr) return;  // a fault then kills the process without a report
  stack_t wanted{};
  wanted.ss_sp = memory_.get();
  wanted.ss_size = alternate_bytes;
  ::sigaltstack(&wanted, &before_);
}

overflow_guard::~overflow_guard() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack((before_.ss_flags & SS_DISABLE) != 0 ? &none : &before_, nullptr);
}

}  // namespace heddle::detail
