// SPDX-License-Identifier: BSL-1.0
// synchronized: making one, its pointers, with_lock, exclusion.
#include "sync/crew.hpp"

#include <heddle/sync/synchronized.hpp>

#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using heddle::synchronized;
using heddle_test::cancelled_in;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;

namespace {

using text = synchronized<std::string>;
static_assert(!std::is_copy_constructible_v<text> && !std::is_copy_assignable_v<text>);
static_assert(!std::is_move_constructible_v<text>);
static_assert(!std::is_constructible_v<text, text&>);
static_assert(!std::is_constructible_v<text, std::vector<int>>);
static_assert(!std::is_convertible_v<const char*, text>);
static_assert(std::is_nothrow_default_constructible_v<text>);

template <class S>
concept can_be_locked = requires(S&& s) {
  std::forward<S>(s).lock();
};
static_assert(can_be_locked<text&> && can_be_locked<const text&>);
static_assert(!can_be_locked<text> && !can_be_locked<const text>);

using pointer = decltype(std::declval<text&>().lock());
using const_pointer = decltype(std::declval<const text&>().lock());
static_assert(std::is_same_v<decltype(*std::declval<pointer&>()), std::string&>);
static_assert(std::is_same_v<decltype(*std::declval<const_pointer&>()), const std::string&>);
static_assert(!std::is_copy_constructible_v<pointer>);
static_assert(std::is_nothrow_move_constructible_v<pointer>);
static_assert(std::is_nothrow_move_assignable_v<pointer>);
static_assert(std::is_same_v<decltype(synchronized(42)), synchronized<int>>);
static_assert(std::is_same_v<decltype(synchronized(std::string())), text>);

struct immovable {
  immovable(int a, std::unique_ptr<int> b) : sum(a + *b) {}
  immovable(const immovable&) = delete;
  int sum;
  int twice() const { return 2 * sum; }
};

struct account {
  int balance = 0;
  int changes = 0;
};

}  // namespace

TEST(Synchronized, MakesItsValueInPlace) {
  synchronized<int> zero;
  EXPECT_EQ(*zero.lock(), 0);
  synchronized<std::string> text(3, 'x');
  EXPECT_EQ(*text.lock(), "xxx");
  synchronized<immovable> one(1, std::make_unique<int>(2));
  EXPECT_EQ(one.lock()->sum, 3);
  const synchronized deduced(std::vector{1, 2, 3});
  EXPECT_EQ(deduced.lock()->size(), 3u);
  synchronized<std::map<std::string, int>> by_default = {};
  EXPECT_TRUE(by_default.lock()->empty());
  synchronized<std::unique_ptr<int>> move_only(std::make_unique<int>(7));
  EXPECT_EQ(**move_only.lock(), 7);
  EXPECT_THROW(synchronized<std::string>(std::string("abc"), 4), std::out_of_range);
}

TEST(Synchronized, ItsPointerReachesTheValue) {
  synchronized<account> s;
  {
    auto p = s.lock();
    p->balance = 5;
    (*p).balance += 2;
    const auto& same = p;
    ++same->balance;  // as with any pointer
  }
  s.lock()->changes = 1;
  EXPECT_EQ(s.lock()->balance, 8);
  const auto& fixed = s;
  static_assert(std::is_const_v<std::remove_reference_t<decltype(*fixed.lock())>>);
  EXPECT_EQ(fixed.lock()->changes, 1);
}

TEST(Synchronized, WithLockReturnsTheResultByValue) {
  synchronized<account> s(account{.balance = 3});
  const auto& fixed = s;
  EXPECT_EQ(s.with_lock([](auto& a) { return ++a.balance; }), 4);  // generic: not const
  EXPECT_EQ(fixed.with_lock([](const auto& a) { return a.balance; }), 4);
  s.with_lock([](account& a) { a.changes = 9; });
  static_assert(std::is_void_v<decltype(s.with_lock([](account&) {}))>);
  EXPECT_EQ(s.with_lock(&account::changes), 9);
  static_assert(std::is_same_v<decltype(s.with_lock(&account::changes)), int>);
  const auto reference = [](account& a) -> account& { return a; };
  static_assert(std::is_same_v<decltype(s.with_lock(reference)), account>);
  synchronized<immovable> one(1, std::make_unique<int>(2));
  EXPECT_EQ(one.with_lock(&immovable::twice), 6);
  auto owns = [box = std::make_unique<int>(4)](account&) mutable { return std::move(box); };
  EXPECT_EQ(*s.with_lock(std::move(owns)), 4);
}

HEDDLE_CREW_TEST(Synchronized, IsLockedUntilThePointersEnd) {
  synchronized<account> s;
  std::atomic<bool> through{false};
  auto last = s.lock();
  all.start_and_sleep([&] {
    EXPECT_EQ(s.lock()->balance, 6);
    through = true;
  });
  {
    auto first = std::move(last);
    last = std::move(first);
  }  // a pointer that was moved from unlocks nothing
  for (int i = 0; i < 20; ++i) heddle::this_fiber::yield();
  EXPECT_FALSE(through.load());
  last->balance = 6;
  { auto end = std::move(last); }
  all.join();
  EXPECT_TRUE(through.load());
}

HEDDLE_CREW_TEST(Synchronized, IsUnlockedByAnException) {
  synchronized<account> s;
  EXPECT_THROW(s.with_lock([](account&) { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_THROW(
      {
        auto p = s.lock();
        throw std::runtime_error("no");
      },
      std::runtime_error);
  auto p = s.lock();
  p = [&] {
    static synchronized<account> other;
    return other.lock();
  }();  // assigning lets go of the first
  all.start([&] { ++s.lock()->balance; });
  all.join();
  EXPECT_EQ(s.lock()->balance, 1);
}

HEDDLE_CREW_TEST(Synchronized, AccessesExcludeEachOther) {
  synchronized<account> s;
  const int each = static_cast<int>(rounds(2'000));
  for (int i = 0; i < 6; ++i) {
    all.start([&, i] {
      for (int n = 0; n < each; ++n) {
        if (i % 2 == 0) {
          auto p = s.lock();
          const int before = p->balance;
          if (n % 16 == 0) heddle::this_fiber::yield();  // it may be held over anything
          p->balance = before + 1;
        } else {
          s.with_lock([](account& a) { ++a.balance; });
        }
        const auto& fixed = s;
        EXPECT_GT(fixed.lock()->balance, 0);
      }
    });
  }
  all.join();
  EXPECT_EQ(s.lock()->balance, 6 * each);
}

HEDDLE_TEST(Synchronized, IsNoCancellationPoint) {
  synchronized<account> s;
  in_cancelled_fiber(rt, [&] {
    EXPECT_FALSE(cancelled_in([&] { ++s.lock()->balance; }));
    EXPECT_FALSE(cancelled_in([&] { s.with_lock([](account& a) { ++a.balance; }); }));
  });
  EXPECT_EQ(s.lock()->balance, 2);
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Synchronized, DiesWithAMessageOfMisuse) {
  synchronized<account> s;
  auto p = s.lock();
  EXPECT_DEATH((void)s.lock(), "heddle: mutex 0x[0-9a-f]+ is locked by its owner");
  auto moved = std::move(p);
  EXPECT_DEATH((void)p->balance,
               "heddle: the value of synchronized 0x[0-9a-f]+ is used through a pointer that was");
}
#endif
