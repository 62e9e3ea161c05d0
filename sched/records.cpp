// SPDX-License-Identifier: BSL-1.0
// records: where the block of a fiber comes from and goes to: its worker's, which keeps some at
//   hand, and behind that the runtime's pool.
#include <heddle/base/sanitizer.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/worker.hpp>

#include <algorithm>
#include <cstddef>
#include <mutex>

namespace heddle::detail {

inline fiber_record* worker::take_record() {
  if (record_count_ == 0) {
    record_count_ = rt.records.take(records_, record_cache / 2);
    for (std::size_t i = 0; i < std::min(record_count_, prefetch_distance); ++i) {
      prefetch(records_[record_count_ - 1 - i]);
    }
  }
  fiber_record* r = records_[--record_count_];
  if (record_count_ >= prefetch_distance) prefetch(records_[record_count_ - prefetch_distance]);
  tsan_acquire(r);
  return r;
}

inline void worker::put_record(fiber_record* r) noexcept {
  tsan_release(r);
  if (record_count_ == record_cache) {
    record_count_ = record_cache / 2;
    rt.records.put(records_ + record_count_, record_cache - record_count_);
  }
  records_[record_count_++] = r;
}

fiber_record* runtime_state::new_fiber(std::size_t stack_size) {
  refuse_after_fork();
  const std::uint32_t pages = stack_size == 0 ? 0 : pages_of(stack_size);
  if (starved_count.load(std::memory_order_relaxed) > 0) [[unlikely]]
    refuse_starved();
  fiber_record* r;
  worker* w = current_worker();
  if (w != nullptr && &w->rt == this) {
    r = w->take_record();
    r->id.store(w->next_id(), std::memory_order_relaxed);
    w->count_spawn();
  } else {
    records.take(&r, 1);
    tsan_acquire(r);
    const std::lock_guard hold(foreign_lock_);
    if (foreign_id_ == foreign_id_end_) foreign_id_ = fresh_ids(foreign_id_end_);
    r->id.store(foreign_id_++, std::memory_order_relaxed);
    foreign_spawned_.fetch_add(1, std::memory_order_relaxed);
  }
  r->frame.clear();
  r->bound_stack = nullptr;
  r->home = this;
  r->stack_pages = pages;
  r->cancel.store(0, std::memory_order_relaxed);
  r->stop_requested.store(false, std::memory_order_relaxed);
  r->callable_on_heap = false;
  r->works_for_at = 0;
  r->named.store(false, std::memory_order_relaxed);
  r->pins = 0;
  return r;
}

// Whoever looks under the lock finds the extras with the id, or neither.
[[gnu::noinline]] void runtime_state::free_extras(fiber_record* r) noexcept {
  fiber_extras* extras = nullptr;
  {
    const std::lock_guard hold(r->lock);
    extras = r->extras.exchange(nullptr, std::memory_order_relaxed);
    r->id.store(0, std::memory_order_relaxed);
  }
  // libstdc++'s last owner of a stop state deletes it without an acquire, and this file's part in
  // counting them ThreadSanitizer does not see.
  const tsan_unseen_reads of_libstdcxx;
  delete extras;
}

void runtime_state::free_record(fiber_record* r) noexcept {
  if (r->extras.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {
    free_extras(r);
  } else {
    r->id.store(0, std::memory_order_relaxed);
  }
  r->phase.store(fiber_phase::free, std::memory_order_relaxed);
  worker* w = current_worker();
  if (w != nullptr && &w->rt == this) {
    w->put_record(r);
  } else {
    tsan_release(r);
    records.put(&r, 1);
  }
}

void runtime_state::discard(fiber_record* r) noexcept {
  free_record(r);
  foreign_finished_.fetch_add(1, std::memory_order_relaxed);
}

void runtime_state::release(fiber_record* r) noexcept {
  tsan_release(r);
  // (en.2) acq_rel: what each holder did goes before the block's reuse; pairs with (en.1), (en.3).
  if (r->references.load(std::memory_order_acquire) == 1 ||
      r->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    tsan_acquire(r);
    free_record(r);
  }
}

}  // namespace heddle::detail
