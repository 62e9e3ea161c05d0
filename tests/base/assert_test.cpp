// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/assert.hpp>

#include <cerrno>
#include <string>

namespace {

using namespace heddle_test;

TEST(AssertDeathTest, PrintsTheConditionTheValuesAndThePlace) {
  const int value = 41;
  HEDDLE_CHECK(value == 41, "not seen");
  EXPECT_DEATH(HEDDLE_CHECK(value == 42, "the value is %d", value),
               "heddle: the value is 41 \\(.*assert_test.cpp:[0-9]+: `value == 42` does not hold; "
               "in no fiber\\)");
}

TEST(AssertDeathTest, NamesTheFiber) {
  EXPECT_DEATH(heddle::run({.workers = 1},
                           [] {
                             heddle::this_fiber::set_name("the culprit");
                             HEDDLE_CHECK(false, "no");
                           }),
               "heddle: no \\(.* in fiber [0-9]+ 'the culprit'\\)");
}

TEST(Assert, EvaluatesADcheckOnlyWithAssertions) {
  int evaluated = 0;
  HEDDLE_DCHECK(++evaluated == 1, "not seen");
#if defined(HEDDLE_ASSERTIONS)
  EXPECT_EQ(evaluated, 1);
#else
  EXPECT_EQ(evaluated, 0);
#endif
}

TEST(Assert, ComplainsInOneLineHoweverLong) {
  ::testing::internal::CaptureStderr();
  errno = 4711;
  heddle::detail::complain("%s", std::string(100'000, 'x').c_str());
  const int error = errno;
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(error, 4711);
  ASSERT_GT(said.size(), 100u);
  EXPECT_LT(said.size(), 4096u);
  EXPECT_EQ(said.find('\n'), said.size() - 1);
  EXPECT_EQ(said.rfind("heddle: xxx", 0), 0u);
}

}  // namespace
