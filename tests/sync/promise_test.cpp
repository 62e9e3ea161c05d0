// SPDX-License-Identifier: BSL-1.0
// promise: giving the outcome, once; and its errors. What std promises is asked of std too.
#include "sync/crew.hpp"

#include <heddle/sync/future.hpp>

#include <concepts>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

using heddle_test::future_error_in;
using heddle_test::in_cancelled_fiber;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::start_line;
using std::future_errc;
using std::future_status;
using namespace std::chrono_literals;

namespace {

template <class P>
concept promises = std::is_default_constructible_v<P> && std::is_nothrow_move_constructible_v<P> &&
                   std::is_nothrow_move_assignable_v<P> && !std::is_copy_constructible_v<P> &&
                   !std::is_copy_assignable_v<P> && requires(P p, P q, std::exception_ptr e) {
  { p.swap(q) }
  noexcept->std::same_as<void>;
  { swap(p, q) }
  noexcept;
  std::swap(p, q);
  { p.set_exception(e) } -> std::same_as<void>;
  { p.set_exception_at_thread_exit(e) } -> std::same_as<void>;
};
template <class P, class... V>
concept sets = requires(P p, V&&... v) {
  { p.set_value(std::forward<V>(v)...) } -> std::same_as<void>;
  { p.set_value_at_thread_exit(std::forward<V>(v)...) } -> std::same_as<void>;
};
template <class Int, class Reference, class Void, class Pointer>
constexpr bool as_in_std = promises<Int>&& promises<Reference>&& promises<Void>&& sets<Int, int>&&
                               sets<Int, const int&>&& sets<Int, char> &&
                           !sets<Int, char*> && sets<Reference, int&> && !sets<Reference, int> &&
                           sets<Void> && !sets<Void, int> && sets<Pointer, std::unique_ptr<int>>;
static_assert(as_in_std<std::promise<int>, std::promise<int&>, std::promise<void>,
                        std::promise<std::unique_ptr<int>>>);
static_assert(as_in_std<heddle::promise<int>, heddle::promise<int&>, heddle::promise<void>,
                        heddle::promise<std::unique_ptr<int>>>);
static_assert(!sets<heddle::promise<int>> && !sets<heddle::promise<int&>>);
static_assert(std::is_same_v<decltype(heddle::promise<int&>().get_future()), heddle::future<int&>>);

/// Counts copies and moves; a copy throws where it is told to.
struct counted {
  counted() = default;
  counted(const counted& other) : throws(other.throws), copies(other.copies), moves(other.moves) {
    if (throws) throw std::logic_error("it does not like to be copied");
    ++copies;
  }
  counted(counted&& other) noexcept
      : throws(other.throws), copies(other.copies), moves(other.moves + 1) {}
  bool throws = false;
  int copies = 0;
  int moves = 0;
};

/// Both ways of either kind fail, now and at the end, with promise_already_satisfied.
template <class P>
void expect_satisfied(P& p) {
  const auto e = std::make_exception_ptr(std::runtime_error("second"));
  const auto satisfied = future_errc::promise_already_satisfied;
  EXPECT_EQ(future_error_in([&] { p.set_value(2); }), satisfied);
  EXPECT_EQ(future_error_in([&] { p.set_value_at_thread_exit(2); }), satisfied);
  EXPECT_EQ(future_error_in([&] { p.set_exception(e); }), satisfied);
  EXPECT_EQ(future_error_in([&] { p.set_exception_at_thread_exit(e); }), satisfied);
}

template <class F>
std::optional<future_errc> broken(F&& f) {
  return future_error_in([&] { (void)f.get(); });
}

}  // namespace

HEDDLE_STD_TEST(Promise, IsSatisfiedOnce) {
  typename kit::template promise<int> p, q;
  p.set_value(1);
  expect_satisfied(p);
  EXPECT_EQ(p.get_future().get(), 1);
  expect_satisfied(p);
  q.set_exception(std::make_exception_ptr(1.5));
  expect_satisfied(q);
  EXPECT_THROW((void)q.get_future().get(), double);
}

HEDDLE_STD_TEST(Promise, HasOneFuture) {
  typename kit::template promise<int> p;
  auto f = p.get_future();
  EXPECT_EQ(future_error_in([&] { (void)p.get_future(); }), future_errc::future_already_retrieved);
  p.set_value(1);
  EXPECT_EQ(f.get(), 1);
  EXPECT_EQ(future_error_in([&] { (void)p.get_future(); }), future_errc::future_already_retrieved);
}

HEDDLE_STD_TEST(Promise, WithoutAStateItThrowsNoState) {
  typename kit::template promise<int> p;
  auto moved = std::move(p);
  const auto e = std::make_exception_ptr(1);
  EXPECT_EQ(future_error_in([&] { (void)p.get_future(); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { p.set_value(2); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { p.set_value_at_thread_exit(2); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { p.set_exception(e); }), future_errc::no_state);
  EXPECT_EQ(future_error_in([&] { p.set_exception_at_thread_exit(e); }), future_errc::no_state);
  moved.set_value(1);
  EXPECT_EQ(moved.get_future().get(), 1);
}

HEDDLE_STD_TEST(Promise, AbandonedItIsBroken) {
  typename kit::template future<int> f;
  typename kit::template future<int&> g;
  typename kit::template future<void> h;
  typename kit::template future<int> overwritten;
  {
    typename kit::template promise<int> a;
    typename kit::template promise<int&> b;
    typename kit::template promise<void> c;
    typename kit::template promise<int> d;
    f = a.get_future();
    g = b.get_future();
    h = c.get_future();
    overwritten = d.get_future();
    d = typename kit::template promise<int>();
    EXPECT_EQ(overwritten.wait_for(0s), future_status::ready);
    EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  }
  EXPECT_EQ(f.wait_for(0s), future_status::ready);
  EXPECT_EQ(broken(f), future_errc::broken_promise);
  EXPECT_EQ(broken(g), future_errc::broken_promise);
  EXPECT_EQ(broken(h), future_errc::broken_promise);
  EXPECT_EQ(broken(overwritten), future_errc::broken_promise);
}

HEDDLE_STD_TEST(Promise, ABrokenOneReleasesWhoWaits) {
  for (std::size_t i = 0; i < rounds(200); ++i) {
    auto p = std::make_unique<typename kit::template promise<void>>();
    const auto s = p->get_future().share();
    for (int k = 0; k < 2; ++k) {
      all.start([&, s] { EXPECT_EQ(broken(s), future_errc::broken_promise); });
    }
    all.start([&] { p.reset(); });
    all.join();
  }
}

HEDDLE_STD_TEST(Promise, IsKeptWhenItGoesWithItsValueSet) {
  typename kit::template future<std::string> f;
  {
    typename kit::template promise<std::string> p;
    f = p.get_future();
    p.set_value("kept");
  }
  EXPECT_EQ(f.get(), "kept");
}

HEDDLE_STD_TEST(Promise, IsMovedAndSwappedWithItsState) {
  typename kit::template promise<int> p, q;
  auto f = p.get_future();
  auto g = q.get_future();
  p.swap(q);
  using std::swap;
  swap(p, q);
  std::swap(p, q);
  p.set_value(2);
  EXPECT_EQ(g.get(), 2);
  auto r = std::move(q);
  r.set_value(1);
  EXPECT_EQ(f.get(), 1);
}

HEDDLE_STD_TEST(Promise, CopiesOrMovesTheValueOnceEachWay) {
  typename kit::template promise<counted> p, q;
  const counted original;
  p.set_value(original);
  counted got = p.get_future().get();
  EXPECT_EQ(got.copies, 1);
  EXPECT_EQ(got.moves, 1);
  q.set_value(counted());
  const auto s = q.get_future().share();
  EXPECT_EQ(s.get().copies, 0);
  EXPECT_EQ(s.get().moves, 1);
}

HEDDLE_STD_TEST(Promise, AValueThatThrowsWhenCopiedIsNotSet) {
  typename kit::template promise<counted> p;
  auto f = p.get_future();
  counted bad;
  bad.throws = true;
  EXPECT_THROW(p.set_value(bad), std::logic_error);
  EXPECT_THROW(p.set_value_at_thread_exit(bad), std::logic_error);
  EXPECT_EQ(f.wait_for(0s), future_status::timeout);
  const counted good;
  p.set_value(good);
  EXPECT_FALSE(f.get().throws);
}

// "As though they acquire a single mutex associated with the promise".
HEDDLE_STD_TEST(Promise, OfSeveralWhoSetItOneSucceeds) {
  constexpr int parties = 4;
  for (std::size_t i = 0; i < rounds(300); ++i) {
    typename kit::template promise<std::string> p;
    std::atomic<int> winner{-1}, losers{0};
    auto f = p.get_future();
    for (int k = 0; k < parties; ++k) {
      all.start([&, k] {
        const auto error = future_error_in([&] { p.set_value(std::to_string(k)); });
        if (!error) {
          EXPECT_EQ(winner.exchange(k), -1);
        } else {
          EXPECT_EQ(error, future_errc::promise_already_satisfied);
          ++losers;
        }
      });
    }
    all.join();
    EXPECT_EQ(f.get(), std::to_string(winner.load()));
    EXPECT_EQ(losers.load(), parties - 1);
  }
}

// One of them fails while the others wait for their turn: it has not been first.
HEDDLE_STD_TEST(Promise, WhoFailsToSetItLeavesItToTheNext) {
  for (std::size_t i = 0; i < rounds(300); ++i) {
    typename kit::template promise<counted> p;
    std::atomic<int> set{0};
    for (int k = 0; k < 3; ++k) {
      all.start([&, k] {
        counted value;
        value.throws = k != 1;
        try {
          p.set_value(static_cast<const counted&>(value));
          ++set;
        } catch (const std::logic_error&) {
          // The value's own, or that it is satisfied already.
        }
      });
    }
    all.join();
    EXPECT_EQ(set.load(), 1);
    EXPECT_EQ(p.get_future().get().copies, 1);
  }
}

HEDDLE_STD_TEST(Promise, ItsFutureMayBeTakenWhileItIsSet) {
  for (std::size_t i = 0; i < rounds(200); ++i) {
    typename kit::template promise<int> p;
    all.start([&] { EXPECT_EQ(p.get_future().get(), 1); });
    all.start([&] { p.set_value(1); });
    all.join();
  }
}

HEDDLE_STD_TEST(Promise, ServesAnyType) {
  struct no_default {
    explicit no_default(int n) : value(n) {}
    no_default(no_default&&) = default;
    int value;
  };
  typename kit::template promise<no_default> p;
  p.set_value(no_default(3));
  EXPECT_EQ(p.get_future().get().value, 3);
  typename kit::template promise<std::function<int()>> q;
  q.set_value([] { return 4; });
  EXPECT_EQ(q.get_future().get()(), 4);
  typename kit::template promise<std::exception_ptr> r;
  r.set_value(nullptr);
  EXPECT_EQ(r.get_future().get(), nullptr);
  typename kit::template promise<bool> s;
  s.set_value(true);
  EXPECT_TRUE(s.get_future().share().get());
}

HEDDLE_TEST(Promise, SettingItIsNoCancellationPoint) {
  heddle::promise<int> p, q;
  auto f = p.get_future();
  auto g = q.get_future();
  in_cancelled_fiber(rt, [&] {
    p.set_value(1);
    q.set_exception(std::make_exception_ptr(1.5));
    heddle::promise<int> third;
    third.set_value_at_thread_exit(1);
  });
  EXPECT_EQ(f.get(), 1);
  EXPECT_THROW((void)g.get(), double);
}

TEST(Promise, DiesWithAMessageOfANullException) {
  EXPECT_DEATH(heddle::promise<int>().set_exception(nullptr),
               "heddle: .*promise 0x[0-9a-f]+: its exception is set to null");
}
