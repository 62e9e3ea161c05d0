// SPDX-License-Identifier: BSL-1.0
#include <heddle/sync/channel.hpp>

#include <gtest/gtest.h>

#include <optional>

TEST(Received, IsAnOptionalThatSaysWhy) {
  heddle::channel<int> c(1);
  EXPECT_EQ(c.try_receive().value_or(7), 7);
  EXPECT_THROW((void)c.try_receive().value(), std::bad_optional_access);
  c.send(1);
  const heddle::received<int> one = c.try_receive();
  EXPECT_EQ(one.value(), 1);
  EXPECT_EQ(one.value_or(7), 1);
}
