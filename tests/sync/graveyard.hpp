// SPDX-License-Identifier: BSL-1.0
// graveyard: for trap 10: memory of objects that are gone, which nobody may write to, or use.
#pragma once

#include "sync/crew.hpp"

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(at, size) static_cast<void>(0)
#endif

namespace heddle_test {

/// A hundred plots of memory, used by turns; one in a while is a page of its own, which is unmapped
/// at the object's end. One object is alive at a time.
template <class T>
class graveyard {
 public:
  graveyard() : plots_(100) {
    for (auto& p : plots_) lay_out(p);
  }
  ~graveyard() {
    for (auto& p : plots_) expect_undisturbed(p);
  }
  template <class... A>
  T* make(A&&... args) {
    ++made_;
    if (made_ % 64 == 0) {
      page_ =
          ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return ::new (page_) T(std::forward<A>(args)...);
    }
    plot& p = plots_[made_ % plots_.size()];
    expect_undisturbed(p);
    return ::new (static_cast<void*>(p.bytes)) T(std::forward<A>(args)...);
  }
  void bury(T* dead) {
    dead->~T();
    if (static_cast<void*>(dead) == page_) {
      ::munmap(page_, sizeof(T));
    } else {
      lay_out(*reinterpret_cast<plot*>(dead));
    }
  }

 private:
  struct plot {
    alignas(T) std::byte bytes[sizeof(T)];
  };
  static constexpr unsigned char earth = 0xDD;
  static void lay_out(plot& p) {
    std::memset(p.bytes, earth, sizeof p.bytes);
    ASAN_POISON_MEMORY_REGION(p.bytes, sizeof p.bytes);
  }
  static void expect_undisturbed(plot& p) {
    ASAN_UNPOISON_MEMORY_REGION(p.bytes, sizeof p.bytes);
    for (const auto b : p.bytes) ASSERT_EQ(b, std::byte{earth}) << "written to after its end";
  }

  std::vector<plot> plots_;
  std::size_t made_ = 0;
  void* page_ = nullptr;
};

/// One party releases, the other is released and buries; as often as it takes.
template <class T, class Make, class Released, class Releases>
void bury_when_released(crew& all, std::size_t times, Make make, Released released,
                        Releases releases) {
  graveyard<T> yard;
  start_line line(2);
  T* object = nullptr;
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      object = make(yard);
      line.wait();
      late();
      released(*object);
      yard.bury(object);
    }
  });
  all.start([&] {
    jitter late(2);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      T& mine = *object;
      late();
      releases(mine);
    }
  });
  all.join();
}

inline constexpr auto make_default = [](auto& yard) { return yard.make(); };

}  // namespace heddle_test
