// SPDX-License-Identifier: BSL-1.0
// look: the one who looks, and whom not to look at.
#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/spin_lock.hpp>
#include <heddle/sched/look.hpp>

namespace heddle::detail {

namespace {
constinit spin_lock looking;  // the one who looks
}  // namespace

worker* worker_of(const runtime_state& rt, const fiber_record& r) noexcept {
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i) {
    if (rt.worker_at(i)->current_now() == &r) return rt.worker_at(i);
  }
  return nullptr;
}

held_fibers::held_fibers(fiber_record* const* records, const void** frames,
                         std::size_t count) noexcept
    : records_(records), frames_(frames), count_(count) {
  looking.lock();
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = records[i]->frame.mark() ? records[i]->frame.address() : nullptr;
  }
  heavy_fence();
  for (std::size_t i = 0; i < count; ++i) {
    if (frames[i] == nullptr) continue;
    fiber_record& r = *records[i];
    if (worker_of(*r.home, r) == nullptr && r.frame.is_marked_at(frames[i])) {
      tsan_acquire(&r);  // released when it left
    } else {
      r.frame.unmark(frames[i]);
      frames[i] = nullptr;
    }
  }
}

held_fibers::~held_fibers() {
  for (std::size_t i = 0; i < count_; ++i) {
    if (frames_[i] == nullptr) continue;
    tsan_release(records_[i]);  // acquired when it goes on
    records_[i]->frame.unmark(frames_[i]);
  }
  looking.unlock();
}

}  // namespace heddle::detail
