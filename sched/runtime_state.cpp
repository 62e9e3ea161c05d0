// SPDX-License-Identifier: BSL-1.0
// runtime_state: starting and ending a runtime, stacks that are short, whom to wake.
#include <heddle/base/assert.hpp>
#include <heddle/fiber/watermark.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <mutex>
#include <string>
#include <system_error>

namespace heddle::detail {

namespace {

constinit atomic<std::uint64_t> runtimes_made{0};

std::system_error cannot_start(const char* what, unsigned index, unsigned wanted) {
  return {std::make_error_code(std::errc::resource_unavailable_try_again),
          std::string("heddle: could not start ") + what + " " + std::to_string(index + 1) +
              " of " + std::to_string(wanted) +
              "; ask for fewer (options::workers, HEDDLE_WORKERS) or raise the limit on threads "
              "(ulimit -u, or the cgroup's pids.max)"};
}

// Told before a fiber is made: it would wait for a stack, and no other hold one that could end.
void expect_stacks(stack_class& of) {
  if (of.stock()) return;
  throw std::system_error(
      std::make_error_code(std::errc::resource_unavailable_try_again),
      "heddle: no address space for a single stack of " + std::to_string(of.size()) +
          " bytes; make stacks smaller (options::stack_size, fiber_options::stack_size, "
          "HEDDLE_STACK_SIZE) or raise the limit on address space (ulimit -v)");
}

void start_thread(worker& w) {
  if (fails(fault::thread)) {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  }
  w.start();
}

}  // namespace

runtime_state::runtime_state(const options& wanted)
    : opts(complete(wanted)),
      number(runtimes_made.fetch_add(1, std::memory_order_relaxed) + 1),
      base_workers(opts.workers),
      stacks(opts.stack_size, opts.guard_pages),
      blocking(*this, opts.max_blocking),
      watch(*this),
      workers_(std::make_unique<atomic<worker*>[]>(opts.workers + opts.max_spare_workers)) {
  refuse_after_fork();
  expect_stacks(stacks.default_class());
  prepare_asymmetric_fences();
  prepare_process();
  if (opts.dump_signal != 0) dump_on(opts.dump_signal);
  trace_as_environment_says();
  measure_stacks_as_environment_says();
  owned_.reserve(worker_slots());
  try {
    for (unsigned i = 0; i < base_workers; ++i) {
      publish(std::make_unique<worker>(*this, i, false));
    }
    start_workers();
  } catch (...) {
    join_workers();
    throw;
  }
  enlist(*this);
  for (auto& w : owned_) join_trace(*w);
}

void runtime_state::publish(std::unique_ptr<worker> made) noexcept {
  const unsigned index = made->index;
  tsan_release(made.get());
  owned_.push_back(std::move(made));  // reserved: does not throw
  // (rs.2) release: the worker is made; pairs with (rs.1).
  workers_[index].store(owned_.back().get(), std::memory_order_release);
  // (rs.3) release: it is in its place; pairs with (rs.4).
  worker_count_.store(index + 1, std::memory_order_release);
}

void runtime_state::start_workers() {
  for (unsigned i = 0; i < base_workers; ++i) {
    try {
      start_thread(*owned_[i]);
    } catch (const std::system_error&) {
      throw cannot_start("worker thread", i, base_workers);
    }
  }
  try {
    if (fails(fault::thread)) {
      throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
    watch.start();
  } catch (const std::system_error&) {
    throw cannot_start("the watchdog thread, after worker", base_workers - 1, base_workers);
  }
}

runtime_state::~runtime_state() {
  stopping.store(true, std::memory_order_relaxed);
  // From here on fibers are cancelled from the start (start()), and ends are told (note_end()).
  heavy_fence();
  cancel_all(cancel_reason::shutdown);
  // The destructors of thread-locals may start fibers when a thread of blocking() ends.
  do wait_until_empty();
  while (blocking.stop());
  // (rs.6) acquire: whoever woke the last fibers has left; pairs with (rs.5).
  for (backoff wakers; foreign_wakers_.load(std::memory_order_acquire) != 0;) wakers.pause();
  // Its handle would refer to memory that is gone.
  records.for_each([](fiber_record& r) {
    HEDDLE_CHECK(r.phase.load(std::memory_order_relaxed) == fiber_phase::free,
                 "the handle of fiber %llu outlives its runtime: join, detach or destroy it before",
                 static_cast<unsigned long long>(r.id.load(std::memory_order_relaxed)));
  });
  delist(*this);
  join_workers();
}

void runtime_state::join_workers() noexcept {
  watch.stop();
  stop_workers.store(true, std::memory_order_relaxed);
  heavy_fence();
  wake_all();
  for (auto& w : owned_) w->join();
}

void runtime_state::cancel_all(cancel_reason why) noexcept {
  records.for_each([why](fiber_record& r) {
    if (is_alive(r.phase.load(std::memory_order_relaxed))) cancel_fiber(r, why);
  });
}

void runtime_state::wait_until_empty() noexcept {
  constexpr std::int64_t patience_ns = 5'000'000'000;
  std::int64_t complain_at = real_now_ns() + patience_ns;
  while (alive() > 0) {
    const auto word = ended_word_.load(std::memory_order_relaxed);
    full_fence();
    if (alive() == 0) break;
    futex_wait(ended_word_, word, complain_at);
    if (real_now_ns() < complain_at) continue;
    complain("a runtime is ending, and waits for %llu fibers that were cancelled 5 s ago:",
             static_cast<unsigned long long>(alive()));
    int named = 0;
    records.for_each([&named](fiber_record& r) {
      if (!is_alive(r.phase.load(std::memory_order_relaxed)) || ++named > 10) return;
      complain("  %s has not ended", fiber_label(r).text);
    });
    complain_at = no_deadline;
  }
}

void runtime_state::note_end() noexcept {
  ended_word_.fetch_add(1, std::memory_order_relaxed);
  futex_wake(&ended_word_, INT32_MAX);
}

// Of a fiber whose stack is to be of this size; 0: as those of most.
std::uint32_t runtime_state::pages_of(std::size_t stack_size) {
  const std::size_t size = checked_stack_size(stack_size);
  if (size == opts.stack_size) return 0;
  expect_stacks(stacks.class_of(size));  // made here, where running out can be told
  return static_cast<std::uint32_t>(size / page_size());
}

void runtime_state::refuse_starved() {
  throw std::system_error(
      std::make_error_code(std::errc::resource_unavailable_try_again),
      "heddle: out of stacks: fibers wait for one already. Start fewer at a time, make stacks "
      "smaller (options::stack_size), or raise the limits on address space (ulimit -v) and on "
      "mappings (vm.max_map_count; with options::guard_pages = false it is not needed)");
}

void runtime_state::wake_one() noexcept {
  if (worker* w = idle.take_sleeper()) w->wake();
}

void runtime_state::wake_worker(worker& w) noexcept {
  if (idle.cancel_sleep(w) || w.retired.load(std::memory_order_relaxed)) {
    w.wake();
  }
}

void runtime_state::wake_all() noexcept {
  while (worker* w = idle.take_any()) w->wake();
  for (unsigned i = 0, count = worker_count(); i < count; ++i) {
    if (worker_at(i)->retired.load(std::memory_order_relaxed)) worker_at(i)->wake();
  }
}

void runtime_state::wait_for_stack(fiber_record* r) noexcept {
  const std::size_t size = r->stack_pages * page_size();  // it may run, and end, once it is listed
  r->next = nullptr;
  {
    const std::lock_guard hold(starved_lock_);
    (starved_last_ == nullptr ? starved_first_ : starved_last_->next) = r;
    starved_last_ = r;
    starved_count.fetch_add(1, std::memory_order_relaxed);
  }
  // A stack may have come free meanwhile; and sleeping workers may hold some. They look at the
  // count on their way (worker::take_waiting).
  heavy_fence();
  wake_all();
  if (stacks.pooled_of(size) > 0) stack_came_free();
}

void runtime_state::stack_came_free() noexcept {
  fiber_record* r;
  {
    const std::lock_guard hold(starved_lock_);
    r = starved_first_;
    if (r == nullptr) return;
    starved_first_ = r->next;
    if (starved_first_ == nullptr) starved_last_ = nullptr;
    starved_count.fetch_sub(1, std::memory_order_relaxed);
  }
  injected.push(r);
  light_fence();
  if (idle.should_wake()) wake_one();
}

bool runtime_state::add_spare() noexcept {
  const std::lock_guard hold(spare_lock_);
  const auto wanted = spares_wanted.load(std::memory_order_relaxed) + 1;
  if (wanted > opts.max_spare_workers || halted.load(std::memory_order_relaxed)) return false;
  spares_wanted.store(wanted, std::memory_order_relaxed);
  const unsigned index = base_workers + wanted - 1;
  if (index < worker_count()) {
    full_fence();
    worker_at(index)->wake();
    return true;
  }
  try {
    auto made = std::make_unique<worker>(*this, index, true);
    start_thread(*made);
    publish(std::move(made));
    return true;
  } catch (const std::exception&) {
    // No thread for it: tried again at the watchdog's next look.
    spares_wanted.store(wanted - 1, std::memory_order_relaxed);
    return false;
  }
}

void runtime_state::halting() noexcept {
  const std::lock_guard hold(spare_lock_);
  halted.store(true, std::memory_order_relaxed);
}

}  // namespace heddle::detail
