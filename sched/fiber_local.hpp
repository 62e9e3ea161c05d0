// SPDX-License-Identifier: BSL-1.0
// fiber_local: thread_local for fibers: one value per fiber, which goes with it when it migrates.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace heddle {

namespace detail {

std::uint64_t new_local_key() noexcept;
/// The value of `key` in the calling fiber or thread, or null.
void* find_local(std::uint64_t key) noexcept;
/// Throws std::bad_alloc.
void add_local(std::uint64_t key, void* value, void (*destroy)(void*));

}  // namespace detail

/// One T for each fiber (and plain thread) that uses it, made on first use there, by default or by
/// the function given; destroyed when the fiber ends, newest first. A fiber_local that is destroyed
/// leaves the values to their fibers. Usually a static or a member that outlives the fibers.
template <class T>
class fiber_local {
 public:
  fiber_local() : fiber_local([] { return std::make_unique<T>(); }) {}
  /// `make` returns std::unique_ptr<T>, not null, once for each fiber; several may call it at once.
  explicit fiber_local(std::function<std::unique_ptr<T>()> make) : make_(std::move(make)) {}
  fiber_local(const fiber_local&) = delete;
  fiber_local& operator=(const fiber_local&) = delete;

  /// \throws what making the value throws; std::bad_alloc
  T& operator*() const {
    if (void* there = detail::find_local(key_)) return *static_cast<T*>(there);
    std::unique_ptr<T> made = make_();
    detail::add_local(key_, made.get(), [](void* value) { delete static_cast<T*>(value); });
    return *made.release();
  }
  T* operator->() const { return &**this; }

 private:
  const std::uint64_t key_ = detail::new_local_key();
  std::function<std::unique_ptr<T>()> make_;
};

}  // namespace heddle
