// SPDX-License-Identifier: BSL-1.0
// ending: the last steps of a fiber.
#include <heddle/base/assert.hpp>
#include <heddle/sched/at_end.hpp>
#include <heddle/sched/ending.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/wait.hpp>

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <mutex>
#include <utility>

namespace heddle::detail {

void settle_extras(fiber_record& self) noexcept {
  // (fr.2) acquire: sees what was made; pairs with (fr.1).
  fiber_extras& extras = *self.extras.load(std::memory_order_acquire);
  // What is done last may make locals anew.
  do {
    destroy_locals(extras.locals);
    run_all(std::exchange(extras.at_end, nullptr));
  } while (!extras.locals.empty() || extras.at_end != nullptr);
}

void announce_end(fiber_record& self) noexcept {
  runtime_state& rt = *self.home;
  // (en.1) acquire: the others' references are gone, and what they did is seen; pairs with (en.2).
  if (self.references.load(std::memory_order_acquire) == 1) {
    rt.release(&self);
    return;
  }
  agent* joiner = nullptr;
  {
    const std::lock_guard hold(self.lock);
    self.phase.store(fiber_phase::ended, std::memory_order_relaxed);
    if (self.joiner != nullptr) {
      agent* who = self.joiner->who;
      if (who->claim.try_claim(self.joiner->claim, 0)) joiner = who;
      self.joiner = nullptr;
    }
  }
  if (joiner != nullptr && self.references.load(std::memory_order_relaxed) == 2) {
    // The other one is the joiner's, who sleeps: nobody else can change the number now.
    tsan_release(&self);
    // (en.3) release: what this fiber did goes before the block's reuse; pairs with (en.2).
    self.references.store(1, std::memory_order_release);
  } else {
    rt.release(&self);
  }
  if (joiner != nullptr) ready(*joiner);
}

void die_of_exception(fiber_record& self) noexcept {
  const fiber_label who(self);
  const std::type_info* type = abi::__cxa_current_exception_type();
  int status = 0;
  char* readable =
      type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  const char* type_name = readable != nullptr ? readable : type != nullptr ? type->name() : "?";
  try {
    throw;
  } catch (const std::exception& e) {
    complain("an exception left %s: %s: %s", who.text, type_name, e.what());
    std::terminate();
  } catch (...) {
    complain("an exception left %s: %s (not a std::exception)", who.text, type_name);
    std::terminate();
  }
}

}  // namespace heddle::detail
