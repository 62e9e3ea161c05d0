// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/fiber/record.hpp>

#include <cstring>
#include <memory>
#include <set>

namespace {

using namespace heddle_test;
using heddle::detail::copy_name;
using heddle::detail::extras_of;
using heddle::detail::fiber_record;

class Record : public ::testing::Test {
 protected:
  ~Record() override { delete record->extras; }
  std::unique_ptr<fiber_record> record = std::make_unique<fiber_record>();
};

TEST_F(Record, HasItsNameCopiedAndCut) {
  record->id = 5;
  extras_of(*record).name = "abcdef";
  char out[16];
  copy_name(*record, 5, out, sizeof out);
  EXPECT_STREQ(out, "abcdef");
  copy_name(*record, 5, out, 4);
  EXPECT_STREQ(out, "abc");
  copy_name(*record, 5, out, 1);
  EXPECT_STREQ(out, "");
}

TEST_F(Record, HasNoNameForWhoHoldsAStaleId) {
  char out[16] = "before";
  copy_name(*record, 0, out, sizeof out);
  EXPECT_STREQ(out, "") << "no extras yet";
  record->id = 5;
  extras_of(*record).name = "abcdef";
  copy_name(*record, 4, out, sizeof out);
  EXPECT_STREQ(out, "");
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
