// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/fiber/record.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace {

using namespace heddle_test;
using heddle::detail::extras_of;
using heddle::detail::fiber_label;
using heddle::detail::fiber_record;

class Record : public ::testing::Test {
 protected:
  ~Record() override { delete record->extras; }
  std::unique_ptr<fiber_record> record = std::make_unique<fiber_record>();
};

#if !defined(HEDDLE_ASSERTIONS) && !defined(HEDDLE_ASAN) && !defined(HEDDLE_TSAN)
TEST_F(Record, HasInOneCacheLineWhatASwitchAndAWakeTouch) {
  const auto* line = reinterpret_cast<const std::byte*>(record.get());
  EXPECT_LE(reinterpret_cast<const std::byte*>(&record->home + 1) - line,
            heddle::detail::cache_line);
}
#endif

TEST_F(Record, IsReportedByItsNumberAndName) {
  record->id = 5;
  EXPECT_STREQ(fiber_label(*record).text, "fiber 5") << "no extras yet";
  extras_of(*record);
  EXPECT_STREQ(fiber_label(*record).text, "fiber 5");
  extras_of(*record).name = "abc";
  EXPECT_STREQ(fiber_label(*record).text, "fiber 5 'abc'");
}

TEST_F(Record, IsReportedInOneLine) {
  record->id = ~std::uint64_t{0};
  extras_of(*record).name = std::string(255, 'x');
  EXPECT_EQ(fiber_label(*record).text,
            "fiber 18446744073709551615 '" + std::string(255, 'x') + "'");
  extras_of(*record).name = "a\nb\x1B";
  EXPECT_STREQ(fiber_label(*record).text, "fiber 18446744073709551615 'a?b?'");
}

TEST_F(Record, IsReportedWithoutItsNameWhereItsLockIsHeld) {
  record->id = 5;
  extras_of(*record).name = "abc";
  const std::lock_guard hold(record->lock);
  EXPECT_STREQ(fiber_label(*record).text, "fiber 5");
}

TEST_F(Record, MakesItsExtrasOnceHoweverManyAsk) {
  const time_limit limit;
  for (std::size_t round = 0; round < rounds(300) && !limit.over(); ++round) {
    fiber_record fresh;
    std::atomic<int> ready{0};
    heddle::detail::fiber_extras* got[3];
    on_threads(3, [&](int i) {
      for (++ready; ready < 3;) heddle::detail::cpu_relax();
      got[i] = &extras_of(fresh);
    });
    EXPECT_EQ((std::set<void*>{got[0], got[1], got[2]}.size()), 1u);
    EXPECT_EQ(got[0], fresh.extras);
    delete fresh.extras;
  }
}

}  // namespace
