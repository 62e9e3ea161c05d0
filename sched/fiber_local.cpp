// SPDX-License-Identifier: BSL-1.0
// fiber_local: where the values lie: in the fiber's extras, or in the thread's own list.
#include <heddle/sched/ending.hpp>
#include <heddle/sched/fiber_local.hpp>
#include <heddle/sched/worker.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <vector>

extern "C" void* __dso_handle;

namespace heddle::detail {

namespace {

// thread_local: the values of a plain thread. A pointer, since destructors of static objects ask
// for it after the thread's thread-locals were destroyed; what is made then is left to the process.
constinit thread_local std::vector<local_value>* values_of_thread = nullptr;

void end_of_thread(void* values) {
  auto* list = static_cast<std::vector<local_value>*>(values);
  destroy_locals(*list);
  delete list;
  values_of_thread = nullptr;
}

/// The list of the calling fiber, or thread; null if the fiber has none yet.
[[gnu::noinline]] std::vector<local_value>* locals(bool make) {
  worker* w = current_worker();
  if (w != nullptr && w->current() != nullptr) {
    fiber_record& self = *w->current();
    if (!make && self.extras.load(std::memory_order_relaxed) == nullptr) return nullptr;
    return &extras_of(self).locals;
  }
  if (make && values_of_thread == nullptr) {
    values_of_thread = new std::vector<local_value>;
    // What a thread_local with a destructor compiles to.
    abi::__cxa_thread_atexit(&end_of_thread, values_of_thread, &__dso_handle);
  }
  return values_of_thread;
}

}  // namespace

void destroy_locals(std::vector<local_value>& values) noexcept {
  // A destructor may use another local, even make one anew.
  while (!values.empty()) {
    const local_value last = values.back();
    values.pop_back();
    last.destroy(last.value);
  }
}

std::uint64_t new_local_key() noexcept {
  static atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void* find_local(std::uint64_t key) noexcept {
  const auto* values = locals(false);
  if (values == nullptr) return nullptr;
  const auto found = std::find_if(values->begin(), values->end(),
                                  [key](const local_value& each) { return each.key == key; });
  return found == values->end() ? nullptr : found->value;
}

void add_local(std::uint64_t key, void* value, void (*destroy)(void*)) {
  locals(true)->push_back({key, value, destroy});
}

}  // namespace heddle::detail
