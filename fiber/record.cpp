// SPDX-License-Identifier: BSL-1.0
// record: the parts of a fiber's state that few fibers have.
#include <heddle/fiber/record.hpp>

#include <algorithm>
#include <mutex>

namespace heddle::detail {

static_assert(sizeof(fiber_record) <= 4 * cache_line);

fiber_extras& extras_of(fiber_record& r) {
  {
    const std::lock_guard hold(r.lock);
    if (fiber_extras* there = r.extras.load(std::memory_order_relaxed)) return *there;
  }
  auto made = std::make_unique<fiber_extras>();
  const std::lock_guard hold(r.lock);
  if (fiber_extras* there = r.extras.load(std::memory_order_relaxed)) return *there;
  fiber_extras* const mine = made.release();
  // (fr.1) release: they are made; pairs with (fr.2).
  r.extras.store(mine, std::memory_order_release);
  return *mine;
}

void copy_name(fiber_record& r, std::uint64_t id, char* out, std::size_t size) noexcept {
  const std::lock_guard hold(r.lock);
  std::size_t length = 0;
  const fiber_extras* extras = r.extras.load(std::memory_order_relaxed);
  if (r.id.load(std::memory_order_relaxed) == id && extras != nullptr) {
    length = std::min(extras->name.size(), size - 1);
    // A report is one line.
    std::transform(extras->name.data(), extras->name.data() + length, out,
                   [](char c) { return c >= 0 && c < ' ' ? '?' : c; });
  }
  out[length] = '\0';
}

}  // namespace heddle::detail
