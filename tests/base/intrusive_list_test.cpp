// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/intrusive_list.hpp>
#include <heddle/base/random.hpp>

#include <algorithm>
#include <array>
#include <list>

namespace {

using heddle::detail::intrusive_list;
using heddle::detail::list_hook;
using heddle::detail::random_source;

struct member : list_hook {
  int number = 0;
};

std::vector<int> drained(intrusive_list<member>& list) {
  std::vector<int> numbers;
  while (member* m = list.pop_front()) numbers.push_back(m->number);
  return numbers;
}

template <std::size_t N>
std::array<member, N> numbered() {
  std::array<member, N> made;
  for (std::size_t i = 0; i < N; ++i) made[i].number = static_cast<int>(i);
  return made;
}

TEST(IntrusiveList, IsFirstInFirstOut) {
  auto m = numbered<4>();
  intrusive_list<member> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.back(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
  for (int i : {1, 2, 3}) list.push_back(m[i]);
  list.push_front(m[0]);
  EXPECT_EQ(list.front(), &m[0]);
  EXPECT_EQ(list.back(), &m[3]);
  EXPECT_EQ(drained(list), (std::vector{0, 1, 2, 3}));
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, TakesAnyMemberOut) {
  auto m = numbered<5>();
  intrusive_list<member> list;
  for (auto& each : m) list.push_back(each);
  m[2].unlink();
  m[0].unlink();
  m[4].unlink();
  EXPECT_FALSE(m[2].linked());
  EXPECT_TRUE(m[1].linked());
  EXPECT_EQ(drained(list), (std::vector{1, 3}));
  for (auto& each : m) EXPECT_FALSE(each.linked());
}

TEST(IntrusiveList, SplicesAllToTheEnd) {
  auto m = numbered<5>();
  intrusive_list<member> list, other, none;
  list.splice_back(none);
  EXPECT_TRUE(list.empty());
  for (int i : {2, 3, 4}) other.push_back(m[i]);
  list.push_back(m[0]);
  list.push_back(m[1]);
  list.splice_back(other);
  EXPECT_TRUE(other.empty());
  other.splice_back(list);  // into an empty one
  other.push_back(m[0].linked() ? *other.pop_front() : m[0]);
  EXPECT_EQ(drained(other), (std::vector{1, 2, 3, 4, 0}));
}

TEST(IntrusiveList, AgreesWithAStdListOverRandomOperations) {
  random_source random(1);
  auto m = numbered<50>();
  intrusive_list<member> lists[2];
  std::list<int> models[2];
  for (int round = 0; round < 100'000; ++round) {
    const auto which = random.below(2);
    auto& list = lists[which];
    auto& model = models[which];
    member& any = m[random.below(m.size())];
    switch (random.below(5)) {
      case 0:
        if (!any.linked()) {
          list.push_back(any);
          model.push_back(any.number);
        }
        break;
      case 1:
        if (!any.linked()) {
          list.push_front(any);
          model.push_front(any.number);
        }
        break;
      case 2: {
        member* first = list.pop_front();
        ASSERT_EQ(first != nullptr, !model.empty());
        if (first != nullptr) {
          ASSERT_EQ(first->number, model.front());
          model.pop_front();
        }
        break;
      }
      case 3:
        if (any.linked()) {
          any.unlink();
          for (auto& each : models) each.remove(any.number);
        }
        break;
      case 4:
        if (random.below(20) != 0) break;
        list.splice_back(lists[1 - which]);
        model.splice(model.end(), models[1 - which]);
        break;
    }
    ASSERT_EQ(list.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(list.front()->number, model.front());
      ASSERT_EQ(list.back()->number, model.back());
    }
  }
}

}  // namespace
