// SPDX-License-Identifier: BSL-1.0
// worker: switching between fibers; starting and ending them. Every function here runs on the
//   worker's own thread, most on a fiber's stack.
#include <heddle/base/assert.hpp>
#include <heddle/fiber/switch.hpp>
#include <heddle/fiber/watermark.hpp>
#include <heddle/sched/ending.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/worker.hpp>

namespace heddle::detail {

namespace {

// Each worker draws ids from a block of its own: no shared word is touched per fiber.
constinit atomic<std::uint64_t> next_id_block{1};
constexpr std::uint64_t id_block = 4096;

}  // namespace

extern "C" {
// thread_local: which worker an OS thread is does not change with the fiber that it runs. Used by
// assembly in the header, which the linker cannot see.
[[gnu::used]] constinit thread_local worker* heddle_worker_of_this_thread = nullptr;
}

// The empty assembly keeps the compiler from proving the functions pure and folding two calls.
#if !defined(HEDDLE_THREAD_WORD)
[[gnu::noinline]] worker* current_worker() noexcept {
  asm volatile("");
  worker* const w = heddle_worker_of_this_thread;
  if (w != nullptr) tsan_acquire(w);  // released once, by run()
  return w;
}
#endif

[[gnu::noinline]] void set_current_worker(worker* w) noexcept {
  asm volatile("");
  heddle_worker_of_this_thread = w;
}

std::uint64_t fresh_ids(std::uint64_t& end) noexcept {
  const auto first = next_id_block.fetch_add(id_block, std::memory_order_relaxed);
  end = first + id_block;
  return first;
}

worker::worker(runtime_state& runtime, unsigned i, bool is_spare)
    : rt(runtime),
      index(i),
      spare(is_spare),
      choices(random_source(~reinterpret_cast<std::uintptr_t>(this))),
      numbers_(reinterpret_cast<std::uintptr_t>(this) + i) {}

std::uint64_t worker::next_id() noexcept {
  if (id_next_ == id_end_) id_next_ = fresh_ids(id_end_);
  return id_next_++;
}

/// What the one who arrives owes the one who left; then who arrived is the current fiber.
[[gnu::always_inline]] inline void worker::finish_arrival(const arrival& from) noexcept {
  auto* w = static_cast<worker*>(from.thread);
  // Here, where little else is in registers that a call would spoil.
  if (w->ring_ != nullptr) [[unlikely]]
    w->note_switch();
  w->left_->frame.save(from.left_sp);
  w->queue.unlock();
  if (w->commit_.run != nullptr) {
    const commit then = w->commit_;
    w->commit_.run = nullptr;
    // To the tools it is somebody else's doing: the fiber that arrived has no part in it, and the
    // home stack learns nothing of what the one who left has done.
    const tool_guise deputy(w->deputy_);
    tsan_acquire(w->left_);
    then.run(then.argument);
  }
}

template <bool dying>
[[gnu::always_inline]] inline void worker::leave_for(context& self, fiber_record* as,
                                                     fiber_record* next) noexcept {
  context* to = next;
  void* sp = nullptr;
  if (next != nullptr) {
    set_current(next);
    // Who looks at suspended fibers marks their frames, passes a heavy fence, and leaves those
    // alone that are somebody's current one (look.hpp).
    light_fence();
    sp = next->frame.take();
    if (sp == nullptr) sp = begin_or_put_off(next, as);
  }
  std::uint64_t turn;
  if (sp != nullptr) {
    turn = bump(turns);
  } else {
    set_current(nullptr);
    if (&self == &home_) {
      queue.unlock();
      return;
    }
    to = &home_;
    sp = home_.frame.take();
    // Where it alternates with a fiber, either is asked for its flags in turn.
    turn = turns.load(std::memory_order_relaxed);
    turn += turn % 2;
  }
  left_ = &self;
  tsan_release(&self);
  finish_arrival(switch_context<dying>(self, *to, sp, *this, turn));
  tsan_acquire(&self);
}

// Of one that has no frame yet, or one that somebody looks at; `as` is leaving. Returns where it
// begins; null: it is somewhere else now.
void* worker::begin_or_put_off(fiber_record* next, fiber_record* as) noexcept {
  if (!next->frame.exists()) {
    set_current(as);
    void* const sp = bind_stack(next);
    if (sp != nullptr) set_current(next);
    return sp;
  }
  // Not to wait until the look is over: who leaves may hold the lock of what it waits for.
  if (next->pins != 0) {
    deliver_pinned(next);
  } else {
    rt.injected.push(next);
  }
  return nullptr;
}

// Whom to run after the running fiber; null: go home. The queue is locked.
inline fiber_record* worker::pick_locked() noexcept {
  if (is_due_home()) [[unlikely]]
    return nullptr;
  if (queue.has_next()) {
    fiber_record* next = queue.exchange_next_locked(nullptr);
    if (++streak_ <= max_streak && !chaos(4)) return next;
    // Two fibers that hand each other on must not starve the ring.
    push_locked(next);
  }
  // The youngest first, if it has not started: what one fiber starts is done before what was
  // started earlier branches out, which keeps few stacks in use. Now and then the oldest.
  const auto youngest_is_fresh = [this](const fiber_record& youngest) {
    if (!youngest.frame.exists() && ++streak_ <= max_streak && !chaos(4)) return true;
    streak_ = 0;
    return false;
  };
  return queue.pop_either_locked(youngest_is_fresh);
}

// From the home stack.
fiber_record* worker::pick() noexcept {
  queue.lock();
  stay_in_fibers();  // the last stay's turns may be over
  fiber_record* r = pick_locked();
  queue.unlock();
  return r;
}

// From the home stack to `next`, and back when a switch finds nobody to go to.
void worker::run_until_home(fiber_record* next) noexcept {
  in_fibers.store(true, std::memory_order_relaxed);
  // The watchdog that goes to sleep says so, passes a heavy fence, and looks at in_fibers.
  light_fence();
  rt.watch.attend();
  queue.lock();
  if (rt.halted.load(std::memory_order_relaxed)) [[unlikely]] {
    queue.unlock();  // halt() has been here, or will be when this one stands
    return;
  }
  stay_in_fibers();
  leave_for<false>(home_, nullptr, next);
}

bool worker::halt() noexcept {
  return decltype(queue)::thief(queue).with_lock([this] { home_at_ = 0; });
}

void worker::leave_thread() noexcept {
  current_.store(nullptr, std::memory_order_relaxed);
  set_current_worker(nullptr);
  block_for(rt);
}

void worker::yield() noexcept {
  fiber_record* self = current();
  held_os.leave(*self, "yields");
  if (self->pins != 0 || chaos(3)) [[unlikely]] {
    // Off its stack first; then to whom it belongs (or, under chaos, to anybody).
    park({[](void* r) noexcept {
            auto* record = static_cast<fiber_record*>(r);
            record->home->schedule(record, place::back);
          },
          self});
    return;
  }
  queue.lock();
  // What mostly happens: all have run before, and take turns.
  if (!is_due_home() && !queue.has_next()) [[likely]] {
    const auto is_fresh = [](const fiber_record& r) { return !r.frame.exists(); };
    if (fiber_record* next = queue.rotate_locked(self, is_fresh)) {
      streak_ = 0;
      leave_for<false>(*self, self, next);
      return;
    }
  }
  fiber_record* next = pick_locked();
  if (next == nullptr && !is_due_home() && rt.injected.size() == 0 &&
      inbox_size_.load(std::memory_order_relaxed) == 0) {
    bump(idle_yields);
    --home_at_;
    queue.unlock();
    return;
  }
  push_locked(self);
  leave_for<false>(*self, self, next);
}

void worker::park(commit then) noexcept {
  fiber_record* self = current();
  held_os.leave(*self, "parks");
#if defined(HEDDLE_CHAOS)
  if (stretch_park != nullptr) stretch_park();
#endif
  queue.lock();
  fiber_record* next = pick_locked();
  commit_ = then;
  leave_for<false>(*self, self, next);
}

// One stack's life: a fiber, and after it those that have not started yet and fit on the same
// stack, without a jump between them. Part of heddle_fiber_entry: a call that never returns would
// spoil the processor's predictions of returns, as in switching::jump().
[[gnu::always_inline]] inline void worker::fiber_main(const arrival& from) noexcept {
  begin_context(*static_cast<worker*>(from.thread)->current(), *from.thread);
  finish_arrival(from);
  for (;;) {
    fiber_record* self = current_worker()->current();
    tsan_acquire(self);
    tsan_acquire(self->bound_stack);
    const auto entry = self->entry;
    self->scope = nullptr;
    entry(*self);
    settle(*self);
    worker* w = current_worker();
    w->end_current(self);
  }
}

// Ends `self`, whose record is gone afterwards, and goes to the next fiber. Returns if that one has
// not started and takes over this stack.
inline void worker::end_current(fiber_record* self) noexcept {
  stack* place_here = self->bound_stack;
  if (stacks_are_measured.load(std::memory_order_relaxed)) [[unlikely]]
    note_stack_use(*self);
  take_over_tools(ended_, *self);
  const std::uint32_t pages = self->stack_pages;
  announce_end(*self);
  held_os.forget();
  tsan_release(place_here);

  queue.lock();
  fiber_record* next = pick_locked();
  if (reuses_last_stack && next != nullptr && !next->frame.exists() && next->stack_pages == pages) {
    next->bound_stack = place_here;
    adopt_stack(*next, ended_, *this);
    set_current(next);
    bump(turns);
    if (ring_ != nullptr) [[unlikely]] {
      left_ = &ended_;
      note_switch();
    }
    queue.unlock();
    count_end();
    if (rt.stopping.load(std::memory_order_relaxed)) rt.note_end();
    return;
  }
  ended_stack_ = place_here;
  commit_ = {&worker::release_ended, this};
  leave_for<true>(ended_, self, next);
  __builtin_unreachable();
}

extern "C" void heddle_fiber_entry(raw_arrival from) noexcept {
  // Nobody called this: backtraces, debuggers and the search for a handler end here.
#if defined(__x86_64__)
  asm volatile(".cfi_undefined rip");
#elif defined(__aarch64__)
  asm volatile(".cfi_undefined x30");
#endif
  std::byte room[entry_room];
  asm volatile("" : "=m"(room));
  worker::fiber_main(arrival(from));
}

void worker::release_ended(void* self) noexcept {
  auto* w = static_cast<worker*>(self);
  retire_context(w->ended_);
  w->release_stack(w->ended_stack_);
  w->count_end();
  // The destructor of the runtime counts the ends; it said so before a heavy fence.
  light_fence();
  if (w->rt.stopping.load(std::memory_order_relaxed)) w->rt.note_end();
}

void* worker::bind_stack(fiber_record* r) noexcept {
  stack* s = nullptr;
  if (r->stack_pages == 0) {
    auto cached = stack_count.load(std::memory_order_relaxed);
    if (cached == 0) {
      constexpr std::size_t batch = stack_cache / 4;
      cached = static_cast<std::uint32_t>(rt.stacks.default_class().take(stacks_, batch));
    }
    if (cached > 0) s = take_stack(cached);
    stack_count.store(cached, std::memory_order_relaxed);
  } else {
    s = rt.stacks.take_of(r->stack_pages * page_size());
  }
  if (s == nullptr) {
    // Nothing of it has run: it can wait outside the queues until a stack comes free.
    rt.wait_for_stack(r);
    return nullptr;
  }
  r->bound_stack = s;
  return prepare_context(*r, *s, &heddle_fiber_entry, nobody_);
}

inline stack* worker::take_stack(std::uint32_t& cached) noexcept {
  --cached;
  if constexpr (reuses_last_stack) return stacks_[cached];
  stack* const free_longest = stacks_[0];
  for (std::uint32_t i = 0; i < cached; ++i) {
    stacks_[i] = stacks_[i + 1];
    asm volatile("");  // no memmove(), whose accesses ThreadSanitizer sees everywhere
  }
  return free_longest;
}

void worker::release_stack(stack* s) noexcept {
  if (s->of != &rt.stacks.default_class()) {
    s->of->put(&s, 1);
  } else {
    auto cached = stack_count.load(std::memory_order_relaxed);
    if (cached == stack_cache || rt.starved_count.load(std::memory_order_relaxed) > 0) {
      // The least recently used half goes to the shared pool.
      const std::uint32_t out = (cached + 1) / 2;
      s->of->put(stacks_, out);
      for (std::uint32_t i = out; i < cached; ++i) stacks_[i - out] = stacks_[i];
      cached -= out;
    }
    stacks_[cached++] = s;
    stack_count.store(cached, std::memory_order_relaxed);
  }
  if (rt.starved_count.load(std::memory_order_relaxed) > 0) rt.stack_came_free();
}

}  // namespace heddle::detail
