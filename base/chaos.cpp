// SPDX-License-Identifier: BSL-1.0
// chaos: the state behind the seam; empty in ordinary builds.
#include <heddle/base/chaos.hpp>

#if defined(HEDDLE_CHAOS)

#include <heddle/base/atomic.hpp>
#include <heddle/base/random.hpp>

#include <array>
#include <cstdlib>

namespace heddle::detail {

namespace {

std::uint64_t seed_from_environment() noexcept {
  const char* text = std::getenv("HEDDLE_CHAOS");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

struct fault_plan {
  atomic<std::uint64_t> calls{0};
  atomic<std::uint64_t> first{0};  // 0: none
  atomic<std::uint64_t> last{0};
};
constinit std::array<fault_plan, static_cast<std::size_t>(fault::count_)> plans{};

}  // namespace

void (*stretch_park)() noexcept = nullptr;

bool chaos(std::uint32_t one_in) noexcept {
  static const std::uint64_t seed = seed_from_environment();
  if (seed == 0) return false;
  // thread_local: each thread draws its own numbers; never kept over a park, as nothing here parks.
  static atomic<std::uint64_t> threads{0};
  thread_local random_source numbers{seed +
                                     0x9E37 * threads.fetch_add(1, std::memory_order_relaxed)};
  return numbers.below(one_in) == 0;
}

bool fails(fault kind) noexcept {
  auto& plan = plans[static_cast<std::size_t>(kind)];
  const auto call = plan.calls.fetch_add(1, std::memory_order_relaxed) + 1;
  const auto first = plan.first.load(std::memory_order_relaxed);
  return first != 0 && call >= first && call <= plan.last.load(std::memory_order_relaxed);
}

void inject_fault(fault kind, std::uint64_t after, std::uint64_t times) noexcept {
  auto& plan = plans[static_cast<std::size_t>(kind)];
  const auto now = plan.calls.load(std::memory_order_relaxed);
  plan.last.store(times == 0 ? 0 : now + after + times - 1, std::memory_order_relaxed);
  plan.first.store(times == 0 ? 0 : now + after, std::memory_order_relaxed);
}

std::uint64_t fault_calls(fault kind) noexcept {
  return plans[static_cast<std::size_t>(kind)].calls.load(std::memory_order_relaxed);
}

}  // namespace heddle::detail

#endif
