// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/asymmetric_fence.hpp>
#include <heddle/base/atomic.hpp>

#include <array>
#include <cerrno>

namespace {

using namespace heddle_test;
using heddle::detail::cpu_relax;

/// Where two threads meet before each round.
class meeting {
 public:
  void arrive() {
    const int turn = turn_.load();
    if (here_.fetch_add(1) == 1) {
      here_.store(0);
      turn_.store(turn + 1);
      return;
    }
    for (int spun = 0; turn_.load() == turn; ++spun) {
      spun < 1000 ? cpu_relax() : std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> here_{0}, turn_{0};
};

struct alignas(64) flag {
  std::atomic<int> value{0};
};

/// Dekker's question: each side stores its own word and then loads the other's. With the fences
/// between, at least one of the two sees the other's store. Returns in how many pairs neither did.
template <class LightSide, class HeavySide>
int blind_pairs(LightSide&& light, HeavySide&& heavy) {
  constexpr int pairs = 16;  // of each round, so that a heavy fence is asked often
  std::array<flag, pairs> x, y;
  std::array<int, pairs> light_saw, heavy_saw;
  meeting begin, end;
  const auto turns = rounds(100'000);
  const time_limit limit;
  std::atomic<bool> over{false};
  int blind = 0;
  std::thread other([&] {
    for (;;) {
      begin.arrive();
      if (over) return;
      for (int i = 0; i < pairs; ++i) {
        x[i].value.store(1, std::memory_order_relaxed);
        light();
        light_saw[i] = y[i].value.load(std::memory_order_relaxed);
      }
      end.arrive();
    }
  });
  for (std::size_t turn = 0; turn < turns && !limit.over(); ++turn) {
    for (int i = 0; i < pairs; ++i) {
      x[i].value.store(0);
      y[i].value.store(0);
    }
    begin.arrive();
    for (std::size_t i = 0; i < turn % 64; ++i) cpu_relax();  // all the offsets in time
    for (auto& each : y) each.value.store(1, std::memory_order_relaxed);
    heavy();
    for (int i = 0; i < pairs; ++i) heavy_saw[i] = x[i].value.load(std::memory_order_relaxed);
    end.arrive();
    for (int i = 0; i < pairs; ++i) blind += light_saw[i] == 0 && heavy_saw[i] == 0 ? 1 : 0;
  }
  over = true;
  begin.arrive();
  other.join();
  return blind;
}

TEST(AsymmetricFence, LetsOneOfTwoSeeTheOther) {
  heddle::detail::prepare_asymmetric_fences();
  EXPECT_EQ(
      blind_pairs([] { heddle::detail::light_fence(); }, [] { heddle::detail::heavy_fence(); }), 0);
}

TEST(AsymmetricFence, LetsOneOfTwoSeeTheOtherByFullFencesToo) {
  // What both are where the kernel has no membarrier.
  EXPECT_EQ(blind_pairs([] { heddle::detail::full_fence(); }, [] { heddle::detail::full_fence(); }),
            0);
}

TEST(AsymmetricFence, LeavesErrnoAlone) {
  errno = 4711;
  heddle::detail::prepare_asymmetric_fences();
  heddle::detail::heavy_fence();
  EXPECT_EQ(errno, 4711);
}

}  // namespace
