// SPDX-License-Identifier: BSL-1.0
// channel: its halves, and what can be asked of the types.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

using heddle::channel;
using heddle::channel_status;
using heddle::received;
using heddle::receiver;
using heddle::sender;
using namespace std::chrono_literals;

namespace {

using at = std::chrono::system_clock::time_point;

template <class C, class T = int>
concept sends = requires(C c, const T& copied, T moved) {
  { c.send(copied) } -> std::same_as<bool>;
  { c.send(std::move(moved)) } -> std::same_as<bool>;
  { c.try_send(copied) } -> std::same_as<channel_status>;
  { c.try_send(std::move(moved)) } -> std::same_as<channel_status>;
  { c.send_for(copied, 1ms) } -> std::same_as<channel_status>;
  { c.send_for(std::move(moved), 1ms) } -> std::same_as<channel_status>;
  { c.send_until(copied, at()) } -> std::same_as<channel_status>;
  { c.send_until(std::move(moved), at()) } -> std::same_as<channel_status>;
};
template <class C>
concept sends_in_any_way = requires(C c) {
  c.send(1);
}
|| requires(C c) { c.try_send(1); }
|| requires(C c) { c.send_for(1, 1ms); }
|| requires(C c) { c.send_until(1, at()); };
template <class C, class T = int>
concept receives = requires(C c) {
  { c.receive() } -> std::same_as<std::optional<T>>;
  { c.try_receive() } -> std::same_as<received<T>>;
  { c.receive_for(1ms) } -> std::same_as<received<T>>;
  { c.receive_until(at()) } -> std::same_as<received<T>>;
  { *c.begin() } -> std::same_as<T&>;
  { c.begin() == c.end() } -> std::same_as<bool>;
};
template <class C>
concept receives_in_any_way = requires(C c) {
  c.receive();
}
|| requires(C c) { c.try_receive(); }
|| requires(C c) { c.receive_for(1ms); }
|| requires(C c) { c.receive_until(at()); }
|| requires(C c) { c.begin(); }
|| requires(C c) { c.end(); };
template <class C>
concept can_be_asked = requires(const C& c) {
  { c.closed() }
  noexcept->std::same_as<bool>;
  { c.size() }
  noexcept->std::same_as<std::size_t>;
  { c.capacity() }
  noexcept->std::same_as<std::size_t>;
  { c == c }
  noexcept->std::same_as<bool>;
  { c != c } -> std::same_as<bool>;
};
template <class C>
concept closes = requires(C c) {
  { c.close() }
  noexcept->std::same_as<bool>;
};

static_assert(sends<channel<int>> && receives<channel<int>> && closes<channel<int>>);
static_assert(sends<sender<int>> && closes<sender<int>> && !receives_in_any_way<sender<int>>);
// As in Go: who only receives cannot close.
static_assert(receives<receiver<int>> && !closes<receiver<int>> &&
              !sends_in_any_way<receiver<int>>);
static_assert(can_be_asked<channel<int>> && can_be_asked<sender<int>> &&
              can_be_asked<receiver<int>>);

static_assert(std::is_convertible_v<channel<int>, sender<int>>);
static_assert(std::is_convertible_v<channel<int>, receiver<int>>);
static_assert(std::is_convertible_v<channel<int>&, sender<int>>);
static_assert(std::is_convertible_v<const channel<int>&, receiver<int>>);
static_assert(!std::is_constructible_v<channel<int>, sender<int>>);
static_assert(!std::is_constructible_v<channel<int>, receiver<int>>);
static_assert(!std::is_convertible_v<sender<int>, receiver<int>>);
static_assert(!std::is_convertible_v<receiver<int>, sender<int>>);
static_assert(!std::is_convertible_v<sender<int>&, channel<int>&>);
static_assert(!std::is_convertible_v<receiver<int>*, channel<int>*>);
static_assert(!std::is_constructible_v<sender<int>, channel<long>>);
static_assert(std::is_copy_constructible_v<sender<int>> && std::is_copy_assignable_v<sender<int>>);
static_assert(std::is_copy_constructible_v<receiver<int>> &&
              std::is_copy_assignable_v<receiver<int>>);

static_assert(std::is_default_constructible_v<channel<int>>);
static_assert(std::is_nothrow_copy_constructible_v<channel<int>>);
static_assert(std::is_nothrow_move_constructible_v<channel<int>>);
static_assert(std::is_nothrow_copy_assignable_v<channel<int>>);
static_assert(std::is_nothrow_move_assignable_v<channel<int>>);
static_assert(std::is_nothrow_swappable_v<channel<int>>);
static_assert(std::is_constructible_v<channel<int>, std::size_t>);
static_assert(!std::is_convertible_v<std::size_t, channel<int>>);  // explicit
static_assert(std::is_nothrow_constructible_v<channel<int>, std::nullptr_t>);
static_assert(std::is_convertible_v<std::nullptr_t, channel<int>>);
static_assert(!std::is_convertible_v<int, channel<int>> &&
              !std::is_convertible_v<void*, channel<int>>);
static_assert(std::equality_comparable<channel<std::unique_ptr<int>>>);

static_assert(std::is_constructible_v<bool, const received<int>&>);
static_assert(!std::is_convertible_v<received<int>, bool>);  // explicit, as optional's
static_assert(
    std::same_as<decltype(std::declval<const received<int>&>().status()), channel_status>);
static_assert(std::same_as<decltype(*std::declval<received<int>&>()), int&>);
static_assert(std::same_as<decltype(*std::declval<const received<int>&>()), const int&>);
static_assert(std::same_as<decltype(*std::declval<received<int>>()), int&&>);
static_assert(std::is_move_constructible_v<received<std::unique_ptr<int>>>);

static_assert(receives<channel<std::unique_ptr<int>>, std::unique_ptr<int>>);

}  // namespace

HEDDLE_CREW_TEST(ChannelHalf, TheHalvesAreOfOneChannel) {
  channel<int> c(2);
  sender<int> in = c;
  receiver<int> out = c;
  EXPECT_EQ(in, sender<int>(c));
  EXPECT_EQ(out, receiver<int>(c));
  EXPECT_NE(in, sender<int>(channel<int>()));
  EXPECT_NE(out, receiver<int>(channel<int>()));
  EXPECT_EQ(in.capacity(), 2u);
  EXPECT_EQ(out.capacity(), 2u);
  all.start([in] {
    const int zero = 0;
    EXPECT_TRUE(in.send(zero));
    EXPECT_TRUE(in.send(1));
    EXPECT_EQ(in.send_for(2, 1h), channel_status::ok);
    EXPECT_EQ(in.send_until(3, std::chrono::system_clock::now() + 1h), channel_status::ok);
    while (in.try_send(4) != channel_status::ok) heddle::this_fiber::yield();
    EXPECT_TRUE(in.send(5));
    EXPECT_TRUE(in.close());
  });
  EXPECT_EQ(out.receive(), 0);
  EXPECT_EQ(*out.receive_for(1h), 1);
  EXPECT_EQ(*out.receive_until(std::chrono::steady_clock::now() + 1h), 2);
  received<int> third = channel_status::empty;
  EXPECT_TRUE(heddle_test::eventually(
      [&] { return (third = out.try_receive()).status() == channel_status::ok; }));
  EXPECT_EQ(*third, 3);
  int next = 4;
  for (int& v : out) EXPECT_EQ(v, next++);
  EXPECT_EQ(next, 6);
  all.join();
  EXPECT_TRUE(in.closed());
  EXPECT_TRUE(out.closed());
  EXPECT_EQ(out.size(), 0u);
  EXPECT_FALSE(in.send(6));
}

HEDDLE_TEST(ChannelHalf, AHalfKeepsTheChannelAlive) {
  auto made = std::make_unique<channel<std::unique_ptr<int>>>(1);
  sender<std::unique_ptr<int>> in = *made;
  receiver<std::unique_ptr<int>> out = *made;
  made.reset();
  EXPECT_TRUE(in.send(std::make_unique<int>(3)));
  const auto got = out.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(**got, 3);
}

HEDDLE_TEST(ChannelHalf, AHalfOfNilIsNil) {
  sender<int> in = channel<int>(nullptr);
  receiver<int> out = channel<int>(nullptr);
  EXPECT_EQ(in.try_send(1), channel_status::full);
  EXPECT_EQ(out.try_receive().status(), channel_status::empty);
  EXPECT_FALSE(in.close());
}

TEST(ChannelHalf, IsSetToNilAsAChannelIs) {
  channel<int> c(1);
  receiver<int> from = c;
  sender<int> to = c;
  EXPECT_FALSE(from == nullptr);
  EXPECT_FALSE(to == nullptr);
  from = nullptr;
  to = nullptr;
  EXPECT_TRUE(from == nullptr);
  EXPECT_TRUE(to == nullptr);
  EXPECT_EQ(from.try_receive().status(), channel_status::empty);
  EXPECT_EQ(to.try_send(1), channel_status::full);
  EXPECT_EQ(c.try_send(1), channel_status::ok);
}
