// SPDX-License-Identifier: BSL-1.0
// stack: reserving, guarding, pooling and giving back.
#include <heddle/base/chaos.hpp>
#include <heddle/base/sanitizer.hpp>
#include <heddle/fiber/stack.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) static_cast<void>(0)
#define RUNNING_ON_VALGRIND 0
#endif

namespace heddle::detail {

namespace {

// Missing from older headers.
constexpr int guard_install = 102;   // MADV_GUARD_INSTALL
constexpr int own_process = -10001;  // PIDFD_SELF_THREAD_GROUP

constexpr std::size_t first_slab_stacks = 16;
constexpr std::size_t max_slab_bytes = std::size_t{1} << 30;
constexpr std::size_t guards_at_once = 16;

// Stacks lie at a fixed pitch, so their tops would all fall into the same sets of the cache. Each
// starts a few lines further down than the one before it.
constexpr std::size_t colours = 16;

bool install_light_guard(std::byte* at, std::size_t bytes) noexcept {
  return !fails(fault::guard_install) && ::madvise(at, bytes, guard_install) == 0;
}

/// Several, `pitch` from each other, by one call, which takes two thirds of the time. Returns how
/// many of them there are now: none, where the kernel does not know that, or forbids it.
std::size_t install_light_guards(std::byte* first, std::size_t bytes, std::size_t pitch,
                                 std::size_t count) noexcept {
  static atomic<bool> refused{RUNNING_ON_VALGRIND != 0};  // which would complain of it
  if (count < 2 || refused.load(std::memory_order_relaxed) || fails(fault::guard_install)) return 0;
  iovec guards[guards_at_once];
  for (std::size_t i = 0; i < count; ++i) guards[i] = {first + i * pitch, bytes};
  const long done = ::syscall(SYS_process_madvise, own_process, guards, count, guard_install, 0);
  if (done > 0) return static_cast<std::size_t>(done) / bytes;
  if (errno != ENOMEM && errno != EAGAIN) refused.store(true, std::memory_order_relaxed);
  return 0;
}

std::byte* reserve(std::size_t bytes) noexcept {
  if (fails(fault::map)) return nullptr;
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  // With huge pages, the first touch of a stack would commit 2 MiB.
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(at);
}

/// Keeps errno as the caller had it: whoever takes a stack is in the middle of a switch.
class errno_keeper {
 public:
  errno_keeper() noexcept : saved_(errno) {}
  ~errno_keeper() { errno = saved_; }

 private:
  int saved_;
};

}  // namespace

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

bool kernel_has_light_guards() noexcept {
  static const bool has = [] {
    const std::size_t bytes = page_size();
    std::byte* probe = reserve(bytes);
    if (probe == nullptr) return false;
    const bool granted = ::madvise(probe, bytes, guard_install) == 0;
    ::munmap(probe, bytes);
    return granted;
  }();
  return has;
}

stack_class::stack_class(std::size_t size, bool guards)
    : size_(size), guard_(guards ? page_size() : 0) {}

stack_class::~stack_class() {
  for (const slab& each : slabs_) {
    asan_forget(each.base, each.bytes);
    ::munmap(each.base, each.bytes);
  }
}

bool stack_class::stock() noexcept {
  const errno_keeper keep;
  const std::lock_guard hold(lock_);
  return !slabs_.empty() || grow_locked();
}

std::size_t stack_class::take(stack** out, std::size_t wanted) noexcept {
  const errno_keeper keep;
  const std::lock_guard hold(lock_);
  std::size_t got = 0;
  for (; got < wanted; ++got) {
    stack* next = warm_.pop_front();
    if (next == nullptr) next = cold_.pop_front();
    if (next == nullptr) break;
    out[got] = next;
  }
  pooled_.store(pooled() - got, std::memory_order_relaxed);
  while (got < wanted) {
    const std::size_t made = make_locked(out + got, wanted - got);
    if (made == 0) break;
    got += made;
  }
  return got;
}

void stack_class::put(stack* const* stacks, std::size_t count) noexcept {
  const std::lock_guard hold(lock_);
  for (std::size_t i = 0; i < count; ++i) {
    stacks[i]->idle_since = turn_;
    warm_.push_front(*stacks[i]);
  }
  pooled_.store(pooled() + count, std::memory_order_relaxed);
}

bool stack_class::trim(std::uint32_t turns) noexcept {
  // A few at a time, so that nobody who wants a stack waits long for the lock.
  constexpr std::size_t batch = 64;
  {
    const std::lock_guard hold(lock_);
    ++turn_;
  }
  for (;;) {
    stack* old[batch];
    std::size_t count = 0;
    {
      const std::lock_guard hold(lock_);
      while (count < batch && !warm_.empty()) {
        stack* oldest = warm_.back();
        if (turn_ - oldest->idle_since < turns) break;
        oldest->unlink();
        old[count++] = oldest;
      }
      if (count == 0) return !warm_.empty();
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::byte* begin = old[i]->bottom;
      ::madvise(begin, size_, MADV_DONTNEED);
    }
    const std::lock_guard hold(lock_);
    for (std::size_t i = 0; i < count; ++i) cold_.push_front(*old[i]);
  }
}

std::size_t stack_class::make_locked(stack** out, std::size_t wanted) noexcept {
  if (slabs_.empty() || slabs_.back().used == slabs_.back().count) {
    if (!grow_locked()) return 0;
  }
  slab& from = slabs_.back();
  std::size_t count = std::min({wanted, from.count - from.used, guards_at_once});
  std::byte* low = from.base + from.used * pitch();
  if (guard_ != 0) count = install_guards(low, count);
  for (std::size_t i = 0; i < count; ++i, low += pitch()) {
    stack& made = from.slices[from.used];
    made.bottom = low + guard_;
    made.top = made.bottom + size_ - (from.used % colours) * cache_line;
    made.of = this;
    made.guarded = guard_ != 0;
    tsan_release(&made);  // who runs on it acquires it
    VALGRIND_STACK_REGISTER(made.bottom, made.bottom + size_);
    ++from.used;
    out[i] = &made;
  }
  made_.store(made() + count, std::memory_order_relaxed);
  return count;
}

bool stack_class::grow_locked() noexcept {
  std::size_t count = slabs_.empty() ? first_slab_stacks : slabs_.back().count * 2;
  count = std::max<std::size_t>(1, std::min(count, max_slab_bytes / pitch()));
  // Where so much address space is not to be had, less may do.
  for (; count >= 1; count /= 4) {
    std::byte* base = reserve(count * pitch());
    if (base == nullptr) continue;
    if (!fails(fault::memory)) {
      std::unique_ptr<stack[]> slices(new (std::nothrow) stack[count]);
      if (slices != nullptr) {
        try {
          slabs_.push_back({base, count * pitch(), std::move(slices), count, 0});
          reserved_.store(reserved_bytes() + count * pitch(), std::memory_order_relaxed);
          return true;
        } catch (const std::bad_alloc&) {
        }
      }
    }
    ::munmap(base, count * pitch());
    return false;
  }
  return false;
}

// Returns how many of the first there are now.
std::size_t stack_class::install_guards(std::byte* first, std::size_t count) noexcept {
  const bool light = kernel_has_light_guards();
  std::size_t done = light ? install_light_guards(first, guard_, pitch(), count) : 0;
  for (; done < count; ++done) {
    std::byte* const at = first + done * pitch();
    if (light && install_light_guard(at, guard_)) continue;
    // Each such guard splits the mapping; vm.max_map_count (65,530) ends it at some 32,000 stacks.
    if (fails(fault::guard_protect) || ::mprotect(at, guard_, PROT_NONE) != 0) break;
  }
  return done;
}

stack_class& stack_depot::class_of(std::size_t size) {
  if (size == default_.size()) return default_;
  const std::lock_guard hold(lock_);
  for (auto& each : others_) {
    if (each->size() == size) return *each;
  }
  others_.push_back(std::make_unique<stack_class>(size, guards_));
  return *others_.back();
}

stack* stack_depot::take_of(std::size_t size) noexcept {
  stack_class* found = nullptr;
  {
    const std::lock_guard hold(lock_);
    for (auto& each : others_) {
      if (each->size() == size) found = each.get();
    }
  }
  stack* s = nullptr;
  return found != nullptr && found->take(&s, 1) == 1 ? s : nullptr;
}

void stack_class::for_each_part(const std::function<void(const void*, std::size_t)>& visit) {
  const std::lock_guard hold(lock_);
  for (const slab& each : slabs_) {
    visit(each.base, each.bytes);
    visit(each.slices.get(), each.count * sizeof(stack));
  }
}

template <class Visit>
void stack_depot::for_each(Visit&& visit) {
  visit(default_);
  const std::lock_guard hold(lock_);
  for (auto& each : others_) visit(*each);
}

void stack_depot::for_each_part(const std::function<void(const void*, std::size_t)>& visit) {
  for_each([&](stack_class& c) { c.for_each_part(visit); });
}

bool stack_depot::trim(std::uint32_t turns) noexcept {
  bool more = false;
  for_each([&](stack_class& c) { more = c.trim(turns) || more; });
  return more;
}

std::size_t stack_depot::handed_out() noexcept {
  std::size_t sum = 0;
  for_each([&](stack_class& c) { sum += c.made() - std::min(c.made(), c.pooled()); });
  return sum;
}

std::size_t stack_depot::pooled() noexcept {
  std::size_t sum = 0;
  for_each([&](stack_class& c) { sum += c.pooled(); });
  return sum;
}

std::size_t stack_depot::pooled_of(std::size_t size) noexcept {
  std::size_t sum = 0;
  if (size == 0) size = default_.size();
  for_each([&](stack_class& c) { sum += c.size() == size ? c.pooled() : 0; });
  return sum;
}

std::size_t stack_depot::reserved_bytes() noexcept {
  std::size_t sum = 0;
  for_each([&](stack_class& c) { sum += c.reserved_bytes(); });
  return sum;
}

}  // namespace heddle::detail
