// SPDX-License-Identifier: BSL-1.0
// worker_records: the free records that a worker keeps at hand.
#include <heddle/base/sanitizer.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/worker.hpp>

#include <algorithm>
#include <cstddef>

namespace heddle::detail {

fiber_record* worker::take_record() {
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

void worker::put_record(fiber_record* r) noexcept {
  tsan_release(r);
  if (record_count_ == record_cache) {
    record_count_ = record_cache / 2;
    rt.records.put(records_ + record_count_, record_cache - record_count_);
  }
  records_[record_count_++] = r;
}

}  // namespace heddle::detail
