// SPDX-License-Identifier: BSL-1.0
// recursive_mutex: once, and again.
#include <heddle/sync/recursive_mutex.hpp>

#include <system_error>

namespace heddle {

void recursive_mutex::lock() {
  if (enter([this] {
        mutex::lock();
        return true;
      })) {
    return;
  }
  throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                          "recursive_mutex: locked too often by its owner");
}

bool recursive_mutex::try_lock() noexcept {
  return enter([this] { return mutex::try_lock(); });
}

bool recursive_mutex::lock_within(const detail::wait_limits& limits) noexcept {
  return enter([&] { return mutex::lock_within(limits); });
}

bool recursive_mutex::is_callers() const noexcept {
  return holder_.load(std::memory_order_relaxed) == &detail::this_agent();
}

// True if the caller owned the mutex already and owns it once more, or if `first` got it.
template <class First>
bool recursive_mutex::enter(First first) noexcept {
  detail::agent* const caller = &detail::this_agent();
  if (holder_.load(std::memory_order_relaxed) == caller) {
    if (depth_ == deepest) return false;
    ++depth_;
    return true;
  }
  if (!first()) return false;
  holder_.store(caller, std::memory_order_relaxed);
  return true;
}

void recursive_mutex::unlock() noexcept {
  expect_owned_by_caller();
  if (depth_ != 0) {
    --depth_;
    return;
  }
  holder_.store(nullptr, std::memory_order_relaxed);
  mutex::unlock();
}

}  // namespace heddle
