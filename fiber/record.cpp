// SPDX-License-Identifier: BSL-1.0
// record: the parts of a fiber's state that few fibers have.
#include <heddle/fiber/record.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace heddle::detail {

#if !defined(HEDDLE_ASSERTIONS)
static_assert(sizeof(fiber_record) <= 4 * cache_line);
#endif

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

fiber_label::fiber_label(fiber_record& r) noexcept {
  const auto id = r.id.load(std::memory_order_relaxed);
  const int length =
      std::snprintf(text, sizeof text, "fiber %llu", static_cast<unsigned long long>(id));
  // Of one that fails while it holds the lock itself, the name is not told.
  backoff wait;
  for (int tries = 0; !r.lock.try_lock(); ++tries) {
    if (tries == 100) return;
    wait.pause();
  }
  const std::lock_guard hold(r.lock, std::adopt_lock);
  const fiber_extras* extras = r.extras.load(std::memory_order_relaxed);
  if (r.id.load(std::memory_order_relaxed) != id || extras == nullptr || extras->name.empty())
    return;
  std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), " '%s'",
                extras->name.c_str());
  std::replace_if(
      text, text + std::strlen(text), [](char c) { return c >= 0 && c < ' '; }, '?');
}

}  // namespace heddle::detail
