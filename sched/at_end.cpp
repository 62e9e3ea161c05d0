// SPDX-License-Identifier: BSL-1.0
// at_end: where the nodes wait: in the fiber's extras, or in a key of the thread's, since a key's
//   destructor runs after those of all thread_locals.
#include <heddle/sched/at_end.hpp>
#include <heddle/sched/worker.hpp>

#include <pthread.h>

#include <system_error>
#include <utility>

namespace heddle::detail {

namespace {

// Ends each thread's list: the memory for a value is there once a value that is not null was set.
constinit at_end_node reserved{[](at_end_node&) noexcept {}};

void expect_done(int error) {
  if (error != 0) {
    throw std::system_error(error, std::generic_category(),
                            "heddle: a thread has no room for what it shall do at its end");
  }
}

class ends_of_threads {
 public:
  ends_of_threads() {
    expect_done(::pthread_key_create(
        &key_, [](void* first) { run_all(static_cast<at_end_node*>(first)); }));
  }
  // The process exits, and with it this thread: no key's destructor will run. Or the library is
  // unloaded: none may.
  ~ends_of_threads() {
    run_all(first());
    ::pthread_key_delete(key_);
  }
  at_end_node* first() const noexcept {
    return static_cast<at_end_node*>(::pthread_getspecific(key_));
  }
  int set_first(at_end_node& node) noexcept { return ::pthread_setspecific(key_, &node); }

 private:
  pthread_key_t key_;
};

ends_of_threads& ends() {
  static ends_of_threads all;
  return all;
}

/// Null on a plain thread.
fiber_record* this_record() noexcept {
  worker* w = current_worker();
  return w != nullptr ? w->current() : nullptr;
}

}  // namespace

void reserve_at_end() {
  if (fiber_record* self = this_record()) {
    (void)extras_of(*self);
  } else if (ends().first() == nullptr) {
    expect_done(ends().set_first(reserved));
  }
}

void add_at_end(at_end_node& what) noexcept {
  if (fiber_record* self = this_record()) {
    what.next = std::exchange(self->extras.load(std::memory_order_relaxed)->at_end, &what);
  } else {
    what.next = ends().first();
    ends().set_first(what);
  }
}

void run_all(at_end_node* first) noexcept {
  while (first != nullptr) {
    at_end_node* const next = first->next;  // it may be gone when it has run
    first->run(*first);
    first = next;
  }
}

}  // namespace heddle::detail
