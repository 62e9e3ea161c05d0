// SPDX-License-Identifier: BSL-1.0
// packaged_task: a function whose outcome goes to a future. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sync/future.hpp>

#include <concepts>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using heddle_test::cancelled_in;
using heddle_test::eventually;
using heddle_test::future_error_in;
using heddle_test::in_cancelled_fiber;
using heddle_test::rounds;
using std::future_errc;
using std::future_status;
using namespace std::chrono_literals;

namespace {

int add(int a, int b) { return a + b; }

struct adder {
  int operator()(int n) const& noexcept { return n + 1; }
  long base = 1;
  int plus(int n) const { return static_cast<int>(base) + n; }
};

template <class T>
concept packages =
    std::is_nothrow_default_constructible_v<T> && std::is_nothrow_move_constructible_v<T> &&
    std::is_nothrow_move_assignable_v<T> && !std::is_copy_constructible_v<T> &&
    !std::is_copy_assignable_v<T> && requires(T t, T u, const T c) {
  { c.valid() }
  noexcept->std::same_as<bool>;
  { t.swap(u) }
  noexcept->std::same_as<void>;
  { swap(t, u) }
  noexcept;
  std::swap(t, u);
  { t(1, 2) } -> std::same_as<void>;
  { t.make_ready_at_thread_exit(1, 2) } -> std::same_as<void>;
  { t.reset() } -> std::same_as<void>;
};
static_assert(packages<std::packaged_task<int(int, int)>>);
static_assert(packages<heddle::packaged_task<int(int, int)>>);

template <class F>
using deduced = decltype(heddle::packaged_task(std::declval<F>()));
template <class F>
using deduced_in_std = decltype(std::packaged_task(std::declval<F>()));
template <class F, class Signature>
constexpr bool deduces = std::is_same_v<deduced<F>, heddle::packaged_task<Signature>>&&
    std::is_same_v<deduced_in_std<F>, std::packaged_task<Signature>>;
constexpr auto mutable_lambda = [](std::string&, const char*) mutable -> double { return 1; };
static_assert(deduces<decltype(&add), int(int, int)> && deduces<decltype(add)&, int(int, int)>);
static_assert(deduces<decltype(mutable_lambda), double(std::string&, const char*)>);
static_assert(deduces<std::function<void(long)>, void(long)>);
static_assert(deduces<adder, int(int)>);

using int_task = heddle::packaged_task<int(int)>;
static_assert(!std::is_constructible_v<int_task, int>);
static_assert(!std::is_constructible_v<int_task, void (*)(int*)>);
static_assert(!std::is_convertible_v<decltype(&add), heddle::packaged_task<int(int, int)>>);

}  // namespace

HEDDLE_STD_TEST(PackagedTask, ItsFutureGivesWhatItReturns) {
  typename kit::template packaged_task<int(int, int)> t(&add);
  EXPECT_TRUE(t.valid());
  auto f = t.get_future();
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  t(3, 4);
  EXPECT_EQ(f.get(), 7);
  EXPECT_TRUE(t.valid());
}

HEDDLE_STD_TEST(PackagedTask, OrWhatItThrows) {
  typename kit::template packaged_task<void(bool)> t([](bool yes) {
    if (yes) throw std::runtime_error("no luck");
  });
  auto f = t.get_future();
  t(true);
  EXPECT_THROW(f.get(), std::runtime_error);
}

HEDDLE_STD_TEST(PackagedTask, RunsElsewhere) {
  for (std::size_t i = 0; i < rounds(150); ++i) {
    typename kit::template packaged_task<std::string(int)> t(
        [](int n) { return std::to_string(n); });
    auto f = t.get_future();
    all.start([mine = std::move(t), i]() mutable { mine(static_cast<int>(i)); });
    EXPECT_FALSE(t.valid());
    EXPECT_EQ(f.get(), std::to_string(i));
    all.join();
  }
}

HEDDLE_STD_TEST(PackagedTask, WithoutAStateItThrowsNoState) {
  typename kit::template packaged_task<int(int)> t;
  EXPECT_FALSE(t.valid());
  EXPECT_EQ(future_error_in([&] { (void)t.get_future(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { t(1); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { t.make_ready_at_thread_exit(1); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { t.reset(); }), future_errc::no_state);
}

HEDDLE_STD_TEST(PackagedTask, IsCalledOnceAndHasOneFuture) {
  int calls = 0;
  typename kit::template packaged_task<int()> t([&] { return ++calls; });
  t();
  EXPECT_EQ(future_error_in([&] { t(); }), future_errc::promise_already_satisfied);
  EXPECT_EQ(future_error_in([&] { t.make_ready_at_thread_exit(); }),
            future_errc::promise_already_satisfied);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(t.get_future().get(), 1);
  EXPECT_EQ(future_error_in([&] { (void)t.get_future(); }), future_errc::future_already_retrieved);
}

HEDDLE_STD_TEST(PackagedTask, ResetItCanBeCalledAgain) {
  int calls = 0;
  typename kit::template packaged_task<int()> t([&] { return ++calls; });
  auto broken = t.get_future();
  t.reset();
  EXPECT_EQ(future_error_in([&] { (void)broken.get(); }), future_errc::broken_promise);
  auto f = t.get_future();
  t();
  t.reset();
  EXPECT_EQ(f.get(), 1);
  t();
  EXPECT_EQ(t.get_future().get(), 2);
}

HEDDLE_STD_TEST(PackagedTask, AbandonedItIsBroken) {
  typename kit::template packaged_task<int()> t([] { return 1; });
  typename kit::template packaged_task<int()> other([] { return 2; });
  auto f = t.get_future();
  t = std::move(other);
  EXPECT_FALSE(other.valid());
  EXPECT_EQ(future_error_in([&] { (void)f.get(); }), future_errc::broken_promise);
  f = t.get_future();
  t = {};
  EXPECT_EQ(future_error_in([&] { (void)f.get(); }), future_errc::broken_promise);
}

HEDDLE_STD_TEST(PackagedTask, IsMovedAndSwappedWithFunctionAndState) {
  typename kit::template packaged_task<int()> t([] { return 1; });
  typename kit::template packaged_task<int()> u([] { return 2; });
  auto f = t.get_future();
  using std::swap;
  t.swap(u);
  swap(t, u);
  std::swap(t, u);
  u();
  EXPECT_EQ(f.get(), 1);
  t();
  EXPECT_EQ(t.get_future().get(), 2);
}

HEDDLE_STD_TEST(PackagedTask, TakesWhatCanBeInvoked) {
  const adder five{5};
  typename kit::template packaged_task<int(const adder*, int)> member(&adder::plus);
  typename kit::template packaged_task<long(const adder&)> data(&adder::base);
  typename kit::template packaged_task<std::unique_ptr<int>(std::unique_ptr<int>)> owner(
      [p = std::make_unique<int>(1)](std::unique_ptr<int> q) mutable {
        *q += *p;
        return q;
      });
  typename kit::template packaged_task<int&(int&)> reference([](int& n) -> int& { return n; });
  typename kit::template packaged_task<void(int)> dropped([](int n) { return n; });
  typename kit::template packaged_task<long(char)> converted([](int n) { return n; });
  member(&five, 1);
  data(five);
  owner(std::make_unique<int>(2));
  int there = 1;
  reference(there);
  dropped(1);
  converted('a');
  EXPECT_EQ(member.get_future().get(), 6);
  EXPECT_EQ(data.get_future().get(), 5);
  EXPECT_EQ(*owner.get_future().get(), 3);
  EXPECT_EQ(&reference.get_future().get(), &there);
  dropped.get_future().get();
  EXPECT_EQ(converted.get_future().get(), 'a');
}

HEDDLE_STD_TEST(PackagedTask, AnEmptyFunctionIsAnExceptionLikeAnother) {
  typename kit::template packaged_task<void()> t{std::function<void()>()};
  t();
  EXPECT_THROW(t.get_future().get(), std::bad_function_call);
}

HEDDLE_STD_TEST(PackagedTask, IsReadyAtThreadExitOnceItIsAsked) {
  typename kit::template packaged_task<int()> t([] { return 1; });
  typename kit::template packaged_task<int()> fails([]() -> int { throw std::logic_error("no"); });
  auto f = t.get_future();
  auto g = fails.get_future();
  std::atomic<bool> may_end{false};
  all.start([&] {
    t.make_ready_at_thread_exit();
    fails.make_ready_at_thread_exit();
    EXPECT_EQ(future_error_in([&] { t(); }), future_errc::promise_already_satisfied);
    EXPECT_TRUE(eventually([&] { return may_end.load(); }));
  });
  EXPECT_EQ(f.wait_for(5ms), future_status::timeout);
  EXPECT_EQ(g.wait_for(0s), future_status::timeout);
  may_end = true;
  EXPECT_EQ(f.get(), 1);
  EXPECT_THROW((void)g.get(), std::logic_error);
  all.join();
}

// The function belongs to the task: what it holds does not outlive that.
HEDDLE_TEST(PackagedTask, EndsWithItsFunctionThoughItsFutureLives) {
  const auto held = std::make_shared<int>(1);
  heddle::future<int> f;
  {
    heddle::packaged_task<int()> t([held] { return *held; });
    f = t.get_future();
    t();
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(f.get(), 1);
}

HEDDLE_TEST(PackagedTask, ACancellationInItsFunctionIsTheOutcome) {
  heddle::packaged_task<void()> t([] { heddle::this_fiber::sleep_for(1h); });
  auto f = t.get_future();
  in_cancelled_fiber(rt, [&] { EXPECT_FALSE(cancelled_in([&] { t(); })); });
  EXPECT_EQ(cancelled_in([&] { f.get(); }), heddle::cancel_reason::requested);
  EXPECT_FALSE(f.valid());
}
