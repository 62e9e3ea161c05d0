// SPDX-License-Identifier: BSL-1.0
// exchanger: finding a partner, or waiting for one.
#include <heddle/sched/cancel.hpp>
#include <heddle/sync/exchanger.hpp>

namespace heddle::detail {

exchanger_core::partner exchanger_core::meet(void* offer) {
  cancellation_point();
  waiting_.lock.lock();
  if (waiter* first = waiting_.claim_first_locked()) {
    const partner met{first->who, offer_};
    waiting_.lock.unlock();
    return met;
  }
  offer_ = offer;
  waiting wait(true, {"for a partner at exchanger", this});
  const case_index winner = waiting_.sleep(wait, unlocking(waiting_.lock), {}, [] {});
  if (winner == case_cancelled) throw_cancelled();
  return {};
}

}  // namespace heddle::detail
