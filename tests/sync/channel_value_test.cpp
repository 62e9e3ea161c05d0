// SPDX-License-Identifier: BSL-1.0
// channel: values of every kind: each is constructed and destroyed once, moved from only when it
//   was sent, and where copying throws nothing was sent.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

using heddle::channel;
using heddle::channel_status;
using heddle_test::crew;
using namespace std::chrono_literals;

namespace {

/// Counts those alive; knows whether it holds a value, and dies if it is destroyed twice. With
/// `NothrowMove` false its move may throw, so that a channel must copy it. Never zero.
template <bool NothrowMove, bool Copyable = true>
class counted {
 public:
  static inline std::atomic<int> alive{0};
  static inline std::atomic<int> copies_until_throw{-1};  // -1: never

  explicit counted(int n) : value_(n) { enter(); }
  counted(const counted& other) requires Copyable : value_(other.value_) {
    int left = copies_until_throw.load();
    while (left > 0 && !copies_until_throw.compare_exchange_weak(left, left - 1)) {
    }
    if (left == 0) throw std::runtime_error("no copy");
    enter();
  }
  counted(counted&& other) noexcept(NothrowMove) : value_(std::exchange(other.value_, 0)) {
    enter();
  }
  counted& operator=(const counted&) = delete;  // a channel needs no assignment
  ~counted() {
    if (mark_ != std::exchange(mark_, 0) || self_ != this) std::abort();
    if (mark_ == 0) --alive;
  }
  int value() const noexcept { return value_; }

 private:
  void enter() {
    self_ = this;
    mark_ = 0xA11BE;
    ++alive;
  }
  int value_;
  const void* self_ = nullptr;
  std::uint32_t mark_ = 0;
};

using movable = counted<true>;
using move_only = counted<true, false>;
using heavy = counted<false>;

/// A round trip by each way a value can take: over the ring, to one who waits, from one who waits.
template <class T, class Make, class Check>
void expect_travels(crew& all, Make make, Check check) {
  channel<T> ring(3);
  for (int round = 0; round < 5; ++round) {
    for (int i = 1; i < 3; ++i) ASSERT_TRUE(ring.send(make(i)));
    ASSERT_EQ(ring.try_send(make(3)), channel_status::ok);
    check(*ring.receive(), 1);
    check(*ring.try_receive(), 2);
    check(*ring.receive_for(1h), 3);
  }
  for (int i = 1; i < 4; ++i) ASSERT_TRUE(ring.send(make(i)));
  all.start_and_sleep([&] { EXPECT_TRUE(ring.send(make(4))); });
  for (int i = 1; i < 5; ++i) check(*ring.receive(), i);
  all.join();

  channel<T> direct;
  all.start_and_sleep([&] { check(*direct.receive(), 5); });
  ASSERT_TRUE(direct.send(make(5)));
  all.join();
  all.start_and_sleep([&] { EXPECT_EQ(direct.send_for(make(6), 1h), channel_status::ok); });
  check(*direct.receive_until(std::chrono::system_clock::now() + 1h), 6);
  all.join();
  all.start([&] {
    for (int i = 7; i < 10; ++i) EXPECT_TRUE(direct.send(make(i)));
    direct.close();
  });
  int next = 7;
  for (auto& v : direct) check(v, next++);
  EXPECT_EQ(next, 10);
  all.join();
}

template <class T>
void expect_balanced(crew& all) {
  ASSERT_EQ(T::alive.load(), 0);
  expect_travels<T>(
      all, [](int i) { return T(i); }, [](const T& v, int i) { EXPECT_EQ(v.value(), i); });
  EXPECT_EQ(T::alive.load(), 0);
  {
    // Left in the ring, also after it has wrapped.
    channel<T> c(4);
    for (int i = 1; i < 5; ++i) c.send(T(i));
    (void)c.receive();
    (void)c.receive();
    c.send(T(5));
    EXPECT_EQ(T::alive.load(), 3);
    channel<T> other = c;
    c = nullptr;
    EXPECT_EQ(T::alive.load(), 3);
  }
  EXPECT_EQ(T::alive.load(), 0);
}

}  // namespace

HEDDLE_CREW_TEST(ChannelValue, EachIsConstructedAndDestroyedOnce) {
  expect_balanced<movable>(all);
  expect_balanced<move_only>(all);
  expect_balanced<heavy>(all);
}

HEDDLE_CREW_TEST(ChannelValue, ItIsMovedFromOnlyWhenSent) {
  channel<move_only> c(1);
  move_only a(1), b(2);
  EXPECT_EQ(c.try_send(std::move(a)), channel_status::ok);
  EXPECT_EQ(a.value(), 0);
  EXPECT_EQ(c.try_send(std::move(b)), channel_status::full);
  EXPECT_EQ(c.send_for(std::move(b), 0s), channel_status::timeout);
  EXPECT_EQ(c.send_for(std::move(b), 1ms), channel_status::timeout);
  EXPECT_EQ(c.send_until(std::move(b), std::chrono::system_clock::now() + 1ms),
            channel_status::timeout);
  channel<move_only> nil = nullptr;
  EXPECT_EQ(nil.try_send(std::move(b)), channel_status::full);
  EXPECT_EQ(nil.send_for(std::move(b), 1ms), channel_status::timeout);
  all.start_and_sleep([&] {
    EXPECT_FALSE(c.send(std::move(b)));
    EXPECT_EQ(c.try_send(std::move(b)), channel_status::closed);
    EXPECT_EQ(c.send_for(std::move(b), 1h), channel_status::closed);
  });
  c.close();
  all.join();
  EXPECT_EQ(b.value(), 2);
  EXPECT_EQ(c.receive()->value(), 1);
}

HEDDLE_CREW_TEST(ChannelValue, OneWhoseMoveMayThrowIsIntactUnlessSent) {
  channel<heavy> c(1);
  heavy a(1), b(2);
  EXPECT_EQ(c.try_send(std::move(a)), channel_status::ok);
  EXPECT_EQ(c.try_send(std::move(b)), channel_status::full);
  EXPECT_EQ(c.send_for(std::move(b), 1ms), channel_status::timeout);
  all.start_and_sleep([&] { EXPECT_FALSE(c.send(std::move(b))); });
  c.close();
  all.join();
  EXPECT_EQ(b.value(), 2);
}

HEDDLE_CREW_TEST(ChannelValue, ACopyLeavesTheOriginal) {
  channel<std::string> c(2);
  const std::string text = "a text that is too long for the small string optimisation";
  EXPECT_TRUE(c.send(text));
  EXPECT_EQ(c.send_for(text, 1h), channel_status::ok);
  EXPECT_EQ(c.try_send(text), channel_status::full);
  EXPECT_EQ(c.receive(), text);
  EXPECT_EQ(c.receive(), text);
  all.start_and_sleep([&] { EXPECT_EQ(c.receive(), text); });
  EXPECT_EQ(c.try_send(text), channel_status::ok);
  all.join();
}

template <class T>
static void expect_nothing_sent_if_copying_throws(crew& all) {
  const T original(1);
  const auto expect_throws = [&](auto send) {
    T::copies_until_throw = 0;
    EXPECT_THROW((void)send(), std::runtime_error);
    T::copies_until_throw = -1;
  };
  channel<T> c(1), direct, full(1);
  EXPECT_TRUE(full.send(T(9)));
  all.start_and_sleep([&] { EXPECT_EQ(direct.receive()->value(), 5); });
  for (auto* to : {&c, &direct, &full}) {
    expect_throws([&] { return to->send(original); });
    expect_throws([&] { return to->try_send(original); });
    expect_throws([&] { return to->send_for(original, 1h); });
    expect_throws([&] { return to->send_for(original, -1h); });
    expect_throws([&] { return to->send_until(original, std::chrono::steady_clock::now() + 1h); });
    expect_throws([&] { return to->send_until(original, std::chrono::system_clock::now() + 1h); });
  }
  EXPECT_EQ(original.value(), 1);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(full.size(), 1u);
  EXPECT_EQ(c.try_receive().status(), channel_status::empty);
  // The one who waits still does, and no lock was left behind.
  EXPECT_EQ(direct.try_send(T(5)), channel_status::ok);
  EXPECT_TRUE(c.send(original));
  EXPECT_EQ(c.receive()->value(), 1);
  EXPECT_EQ(full.receive()->value(), 9);
  all.join();
}

HEDDLE_CREW_TEST(ChannelValue, WhereCopyingThrowsNothingIsSent) {
  expect_nothing_sent_if_copying_throws<movable>(all);
  expect_nothing_sent_if_copying_throws<heavy>(all);
  EXPECT_EQ(movable::alive.load(), 0);
  EXPECT_EQ(heavy::alive.load(), 0);
}

HEDDLE_TEST(ChannelValue, OneWhoseMoveMayThrowIsNotSentIfThatThrows) {
  heavy value(1);
  channel<heavy> c(1);
  heavy::copies_until_throw = 0;
  EXPECT_THROW((void)c.send(std::move(value)), std::runtime_error);
  EXPECT_THROW((void)c.try_send(std::move(value)), std::runtime_error);
  EXPECT_THROW((void)c.send_for(std::move(value), 1h), std::runtime_error);
  heavy::copies_until_throw = -1;
  EXPECT_EQ(value.value(), 1);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_TRUE(c.send(std::move(value)));
  EXPECT_EQ(c.receive()->value(), 1);
}

HEDDLE_CREW_TEST(ChannelValue, PlainAndStdTypesTravel) {
  expect_travels<bool>(
      all, [](int i) { return i % 2 == 0; }, [](bool v, int i) { EXPECT_EQ(v, i % 2 == 0); });
  expect_travels<std::string>(
      all, [](int i) { return std::string(static_cast<std::size_t>(i) * 10, 'x'); },
      [](const std::string& v, int i) { EXPECT_EQ(v.size(), static_cast<std::size_t>(i) * 10); });
  expect_travels<std::unique_ptr<int>>(
      all, [](int i) { return std::make_unique<int>(i); },
      [](const std::unique_ptr<int>& v, int i) { EXPECT_EQ(*v, i); });
  expect_travels<std::function<int()>>(
      all, [](int i) { return [i] { return i; }; },
      [](const std::function<int()>& v, int i) { EXPECT_EQ(v(), i); });
  expect_travels<std::optional<int>>(
      all, [](int i) { return i % 2 == 0 ? std::optional(i) : std::nullopt; },
      [](std::optional<int> v, int i) { EXPECT_EQ(v, i % 2 == 0 ? std::optional(i) : v); });
  struct nothing {};
  expect_travels<nothing>(
      all, [](int) { return nothing{}; }, [](nothing, int) {});
}

HEDDLE_CREW_TEST(ChannelValue, ConstantMembersAreNoHindrance) {
  struct unassignable {
    const int n;
    int& refers;
  };
  static int target = 0;
  expect_travels<unassignable>(
      all,
      [](int i) {
        return unassignable{i, target};
      },
      [](const unassignable& v, int i) {
        EXPECT_EQ(v.n, i);
        EXPECT_EQ(&v.refers, &target);
      });
}

HEDDLE_CREW_TEST(ChannelValue, OverAlignedAndLargeOnesTravel) {
  struct alignas(256) aligned {
    explicit aligned(int i) : n(i) { check(); }
    aligned(const aligned& other) noexcept : n(other.n) { check(); }
    void check() const { EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 256, 0u); }
    int n;
  };
  expect_travels<aligned>(
      all, [](int i) { return aligned(i); }, [](const aligned& v, int i) { EXPECT_EQ(v.n, i); });
  struct large {
    std::array<int, 1024> all;
  };
  expect_travels<large>(
      all,
      [](int i) {
        large made;
        made.all.fill(i);
        return made;
      },
      [](const large& v, int i) {
        for (int n : v.all) ASSERT_EQ(n, i);
      });
}

HEDDLE_CREW_TEST(ChannelValue, AddressOfMayMeanSomethingElse) {
  struct shy {
    int n;
    shy* operator&() = delete;
    const shy* operator&() const = delete;
  };
  expect_travels<shy>(
      all, [](int i) { return shy{i}; }, [](const shy& v, int i) { EXPECT_EQ(v.n, i); });
}
