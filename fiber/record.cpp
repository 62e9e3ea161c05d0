// SPDX-License-Identifier: BSL-1.0
// record: the parts of a fiber's state that few fibers have.
#include <heddle/fiber/record.hpp>

#include <algorithm>
#include <cstring>
#include <mutex>

namespace heddle::detail {

static_assert(sizeof(fiber_record) <= 4 * cache_line);

fiber_extras& extras_of(fiber_record& r) {
  {
    const std::lock_guard hold(r.lock);
    if (r.extras != nullptr) return *r.extras;
  }
  auto made = std::make_unique<fiber_extras>();
  const std::lock_guard hold(r.lock);
  if (r.extras == nullptr) r.extras = made.release();
  return *r.extras;
}

void copy_name(fiber_record& r, std::uint64_t id, char* out, std::size_t size) noexcept {
  const std::lock_guard hold(r.lock);
  std::size_t length = 0;
  if (r.id.load(std::memory_order_relaxed) == id && r.extras != nullptr) {
    length = std::min(r.extras->name.size(), size - 1);
    std::memcpy(out, r.extras->name.data(), length);
  }
  out[length] = '\0';
}

}  // namespace heddle::detail
