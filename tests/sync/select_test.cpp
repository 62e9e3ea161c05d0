// SPDX-License-Identifier: BSL-1.0
// select: which case is taken, what its handler gets, and what is left of the others.
#include "sync/crew.hpp"

#include <heddle/sync/select.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using heddle::channel;
using heddle::channel_status;
using heddle::on_receive;
using heddle::on_send;
using heddle::on_stop;
using heddle::on_timeout;
using heddle::otherwise;
using heddle::receiver;
using heddle::select;
using heddle::select_case;
using heddle::sender;
using heddle_test::eventually;
using namespace std::chrono_literals;

namespace {

constexpr auto unwanted = [](auto&&...) { ADD_FAILURE() << "not this case"; };

/// Checks that a receive case is given `value`.
auto gets(int value) {
  return [value](std::optional<int> v) { EXPECT_EQ(v, value); };
}

/// A T whose move may throw travels in a box.
struct boxed {
  explicit boxed(int n) : text(std::to_string(n)) {}
  boxed(const boxed&) = default;
  boxed(boxed&& other) noexcept(false) : text(std::move(other.text)) {}
  std::string text;
};

template <class C, class... A>
concept receives_from = requires(C&& c, A... a) {
  on_receive(std::forward<C>(c), a...);
};
template <class C, class V>
concept sends_to = requires(C&& c, V v) {
  on_send(std::forward<C>(c), v);
};

static_assert(receives_from<channel<int>&> && receives_from<channel<int>> &&
              receives_from<const channel<int>&>);
static_assert(receives_from<receiver<int>&> && receives_from<receiver<int>> &&
              receives_from<const receiver<int>&>);
static_assert(!receives_from<sender<int>&> && !receives_from<int&>);
static_assert(sends_to<channel<std::string>&, const char*> && sends_to<sender<int>, int> &&
              sends_to<const sender<int>&, int>);
static_assert(!sends_to<receiver<int>&, int> && !sends_to<channel<int>&, std::string>);

using plain = decltype(on_receive(std::declval<channel<int>&>()));
static_assert(std::is_convertible_v<plain, select_case> &&
              !std::is_convertible_v<plain&, select_case>);
static_assert(std::is_nothrow_move_constructible_v<select_case> &&
              std::is_nothrow_move_assignable_v<select_case> &&
              !std::is_copy_constructible_v<select_case>);
static_assert(std::same_as<decltype(select(std::span<select_case>())), std::size_t>);
static_assert(std::same_as<decltype(select(otherwise())), std::size_t>);

}  // namespace

HEDDLE_CREW_TEST(Select, TakesTheCaseThatIsReady) {
  channel<int> a(1), b(1), c;
  EXPECT_EQ(select(on_receive(a, unwanted), on_send(b, 5, [](bool sent) { EXPECT_TRUE(sent); }),
                   on_receive(c, unwanted)),
            1u);
  EXPECT_EQ(select(on_send(b, 6, unwanted), on_send(c, 6, unwanted), on_receive(b, gets(5))), 2u);
  EXPECT_EQ(b.size(), 0u);
  a.send(7);
  EXPECT_EQ(select(on_receive(a, gets(7)), on_receive(b, unwanted)), 0u);
}

HEDDLE_CREW_TEST(Select, MeetsThoseWhoWaitAlready) {
  channel<int> a, b, full(1);
  full.send(1);
  all.start_and_sleep([&] { EXPECT_TRUE(a.send(1)); });
  EXPECT_EQ(select(on_receive(b, unwanted), on_receive(a, gets(1))), 1u);
  all.start_and_sleep([&] { EXPECT_EQ(b.receive(), 2); });
  EXPECT_EQ(select(on_send(a, 1, unwanted), on_send(b, 2)), 1u);
  all.start_and_sleep([&] { EXPECT_TRUE(full.send(2)); });
  EXPECT_EQ(select(on_receive(full, gets(1)), on_receive(a, unwanted)), 0u);
  EXPECT_EQ(full.receive(), 2);
  all.join();
}

HEDDLE_CREW_TEST(Select, WaitsUntilACaseIsReady) {
  for (const std::size_t capacity : {0u, 1u}) {
    for (std::size_t which = 0; which < 6; ++which) {
      channel<int> in0(capacity), in1(capacity), in2(capacity), out0(capacity), out1(capacity),
          out2(capacity);
      for (auto* out : {&out0, &out1, &out2}) {
        if (capacity == 1) out->send(0);
      }
      std::array<channel<int>*, 6> each{&in0, &out0, &in1, &out1, &in2, &out2};
      all.start_and_sleep([&] {
        int handled = 0;
        const auto got = [&](std::optional<int> v) { handled += *v; };
        const auto sent = [&](bool ok) { handled += ok ? 9 : 0; };
        EXPECT_EQ(select(on_receive(in0, got), on_send(out0, 5, sent), on_receive(in1, got),
                         on_send(out1, 5, sent), on_receive(in2, got), on_send(out2, 5, sent)),
                  which);
        EXPECT_EQ(handled, 9);
      });
      channel<int>& c = *each[which];
      if (which % 2 == 0) {
        EXPECT_TRUE(c.send(9));
      } else {
        if (capacity == 1) {
          EXPECT_EQ(c.receive(), 0);
        }
        EXPECT_EQ(c.receive(), 5);
      }
      all.join();
      // Nothing of the others has happened, and nobody is left in a list.
      for (std::size_t i = 0; i < 6; ++i) {
        if (i == which) continue;
        EXPECT_EQ(each[i]->size(), i % 2 == 0 ? 0 : capacity);
        if (i % 2 == 0) {
          EXPECT_EQ(each[i]->try_send(1),
                    capacity == 0 ? channel_status::full : channel_status::ok);
        } else {
          EXPECT_EQ(each[i]->try_receive().has_value(), capacity != 0);
        }
      }
    }
  }
}

HEDDLE_CREW_TEST(Select, AClosedChannelIsReady) {
  channel<int> a, b(1), never;
  a.close();
  b.send(3);
  b.close();
  int handled = 0;
  select(on_receive(a, [&](std::optional<int> v) { handled += v ? 0 : 1; }), on_receive(never));
  select(on_send(a, 1, [&](bool sent) { handled += sent ? 0 : 10; }), on_receive(never));
  select(on_receive(b, gets(3)));
  select(on_receive(b, [&](std::optional<int> v) { handled += v ? 0 : 100; }));
  select(on_send(b, 1, [&](bool sent) { handled += sent ? 0 : 1000; }));
  EXPECT_EQ(handled, 1111);
}

HEDDLE_CREW_TEST(Select, ClosingWakesIt) {
  channel<int> a, b, full(1);
  full.send(0);
  for (int which = 0; which < 3; ++which) {
    all.start_and_sleep([&, which] {
      int closed = 0;
      auto sends = on_send(full, 7, [&](bool sent) { closed = sent ? -1 : 3; });
      const auto taken = select(on_receive(a, [&](std::optional<int> v) { closed = v ? -1 : 1; }),
                                on_send(b, 1, [&](bool sent) { closed = sent ? -1 : 2; }), sends);
      EXPECT_EQ(taken, static_cast<std::size_t>(which));
      EXPECT_EQ(closed, which + 1);
      EXPECT_EQ(sends.value(), 7);
    });
    (which == 0 ? a : which == 1 ? b : full).close();
    all.join();
    if (which == 0) a = channel<int>();
    if (which == 1) b = channel<int>();
  }
}

HEDDLE_CREW_TEST(Select, ANilChannelIsNeverReady) {
  channel<int> nil(nullptr), c(1);
  EXPECT_EQ(select(on_receive(nil, unwanted), on_send(nil, 1, unwanted), otherwise()), 2u);
  // As in Go: setting a channel to nil takes its case out, also of a case that is used again.
  auto first = on_receive(c);
  auto second = on_send(c, 2);
  EXPECT_EQ(select(first, second), 1u);
  c = nullptr;
  EXPECT_EQ(select(first, otherwise()), 1u);
}

HEDDLE_CREW_TEST(Select, OtherwiseNeverBlocks) {
  channel<int> a, b(1);
  bool handled = false;
  EXPECT_EQ(
      select(on_receive(a, unwanted), on_receive(b, unwanted), otherwise([&] { handled = true; })),
      2u);
  EXPECT_TRUE(handled);
  EXPECT_EQ(select(otherwise()), 0u);
  EXPECT_EQ(select(otherwise(), on_send(a, 1)), 0u);
  EXPECT_EQ(select(otherwise(unwanted), on_send(b, 1)), 1u);
  EXPECT_EQ(select(on_send(b, 1), otherwise()), 1u);
  all.start_and_sleep([&] { EXPECT_EQ(a.receive(), 8); });
  EXPECT_EQ(select(otherwise(unwanted), on_send(a, 8)), 1u);
  all.join();
}

HEDDLE_CREW_TEST(Select, TheHandlerMayBeOfAnyKind) {
  channel<int> c(1);
  c.send(1);
  select(on_receive(c));
  c.send(2);
  select(on_receive(c, [](auto v) { EXPECT_EQ(v, 2); }));
  c.send(3);
  select(on_receive(c, [](std::optional<int>& v) { EXPECT_EQ(v, 3); }));
  c.send(4);
  select(on_receive(c, [](auto& v) { EXPECT_EQ(v, 4); }));
  c.send(5);
  select(on_receive(c, [](const std::optional<int>& v) { EXPECT_EQ(v, 5); }));
  c.send(6);
  select(on_receive(c, [](std::optional<int>&& v) { EXPECT_EQ(v, 6); }));
  c.send(7);
  auto box = std::make_unique<int>(0);
  select(on_receive(c, [b = std::move(box)](std::optional<int> v) mutable {
    *b = *v;
    EXPECT_EQ(*b, 7);
  }));
  c.send(8);
  select(on_receive(c, [](std::optional<long> v) { return *v; }));
  std::function<void(bool)> f = [](bool sent) { EXPECT_TRUE(sent); };
  select(on_send(c, 9, f));
  void (*g)(std::optional<int>) = [](std::optional<int> v) { EXPECT_EQ(v, 9); };
  select(on_receive(c, g));
  EXPECT_EQ(c.size(), 0u);
}

HEDDLE_CREW_TEST(Select, TheHandlerRunsOnTheCallerWithNoLockHeld) {
  channel<int> a(1), b(1);
  const auto me = heddle::this_fiber::get_id();
  const auto thread = std::this_thread::get_id();
  select(on_send(a, 1,
                 [&](bool) {
                   EXPECT_EQ(heddle::this_fiber::get_id(), me);
                   if (me == heddle::fiber::id{}) {
                     EXPECT_EQ(std::this_thread::get_id(), thread);
                   }
                   EXPECT_EQ(a.receive(), 1);
                   select(on_send(b, 2, [&](bool) { EXPECT_EQ(b.receive(), 2); }),
                          on_receive(a, unwanted));
                   heddle::this_fiber::yield();
                   a.close();
                 }),
         on_receive(b, unwanted));
  EXPECT_TRUE(a.closed());
}

HEDDLE_CREW_TEST(Select, AnExceptionOfTheHandlerPropagates) {
  channel<int> a(1), b;
  const auto fails = [](auto&&...) { throw std::runtime_error("no"); };
  auto sends = on_send(a, 1, fails);
  EXPECT_THROW(select(sends, on_receive(b)), std::runtime_error);
  EXPECT_EQ(a.size(), 1u) << "it was sent all the same";
  EXPECT_EQ(select(sends, otherwise()), 1u) << "it is spent";
  EXPECT_THROW(select(on_receive(a, fails), on_receive(b)), std::runtime_error);
  EXPECT_EQ(a.size(), 0u);
  EXPECT_THROW(select(otherwise(fails)), std::runtime_error);
  EXPECT_THROW(select(on_timeout(0s, fails)), std::runtime_error);
  all.start_and_sleep(
      [&] { EXPECT_THROW(select(on_receive(a, fails), on_receive(b)), std::runtime_error); });
  EXPECT_TRUE(a.send(1));
  all.join();
}

HEDDLE_CREW_TEST(Select, ValuesOfAnyKind) {
  channel<std::unique_ptr<int>> moved(1);
  auto keeps = on_send(moved, std::make_unique<int>(5));
  moved.send(nullptr);
  EXPECT_EQ(select(keeps, otherwise()), 1u);
  ASSERT_NE(keeps.value(), nullptr);
  EXPECT_EQ(*keeps.value(), 5);
  EXPECT_EQ(select(on_receive(moved, [](auto v) { EXPECT_EQ(*v, nullptr); })), 0u);
  EXPECT_EQ(select(keeps, otherwise()), 0u);
  EXPECT_EQ(select(on_receive(moved, [](auto v) { EXPECT_EQ(**v, 5); })), 0u);

  for (const std::size_t capacity : {0u, 1u}) {
    channel<boxed> c(capacity);
    all.start_and_sleep([&] {
      for (int i = 0; i < 3; ++i) {
        select(
            on_receive(c, [&](std::optional<boxed> v) { EXPECT_EQ(v->text, std::to_string(i)); }));
      }
    });
    const boxed one(1);
    select(on_send(c, 0));
    select(on_send(c, one));
    select(on_send(c, boxed(2)));
    EXPECT_EQ(one.text, "1");
    all.join();
    auto kept = on_send(c, 4);
    c.close();
    select(kept);
    EXPECT_EQ(kept.value().text, "4");
  }

  channel<std::string> text(1);
  select(on_send(text, "abc"));
  select(on_receive(text, [](auto&& v) { EXPECT_EQ(*v, "abc"); }));
  select(on_send(text, {"xxxx", 3}));
  EXPECT_EQ(text.receive(), "xxx");
}

HEDDLE_CREW_TEST(Select, TakesHalvesAndOwnsWhatIsGivenAway) {
  channel<int> c(2);
  sender<int> in(c);
  receiver<int> out(c);
  const auto& constant = out;
  select(on_send(in, 1));
  select(on_send(sender<int>(c), 2));
  select(on_receive(constant, gets(1)));
  select(on_receive(receiver<int>(c), gets(2)));
  const auto made = [] {
    channel<int> lasts_no_longer(1);
    lasts_no_longer.send(3);
    return select_case(on_receive(lasts_no_longer, gets(3)));
  };
  auto from = made();
  EXPECT_EQ(select(from), 0u);
  auto from_rvalue = on_receive(
      [] {
        channel<int> given(1);
        given.send(4);
        return given;
      }(),
      gets(4));
  EXPECT_EQ(select(from_rvalue), 0u);
}

HEDDLE_CREW_TEST(Select, BothSidesOfOneChannel) {
  for (const std::size_t capacity : {0u, 1u}) {
    channel<int> c(capacity);
    std::atomic<int> sent{0}, got{0};
    const int times = 50;
    for (int i = 0; i < 4; ++i) {
      all.start([&, i] {
        for (int k = 0; k < times; ++k) {
          // Twice each: it can be locked, and linked, more than once.
          select(on_send(c, i, [&](bool) { ++sent; }), on_receive(c, [&](auto) { ++got; }),
                 on_send(c, i, [&](bool) { ++sent; }), on_receive(c, [&](auto) { ++got; }));
        }
        c.close();  // those who are left may have nobody to meet
      });
    }
    all.join();
    EXPECT_EQ(sent + got, 4 * times);
  }
  channel<int> alone;
  EXPECT_EQ(select(on_send(alone, 1, unwanted), on_receive(alone, unwanted), otherwise()), 2u)
      << "it does not meet itself";
}

HEDDLE_CREW_TEST(Select, TwoInOppositeOrdersDoNotDeadlock) {
  channel<int> a, b(1);
  channel<int> done;
  std::atomic<int> in{0}, out{0};
  const int times = static_cast<int>(heddle_test::rounds(2'000));
  const auto got = [&](std::optional<int> v) { out += v.value_or(0); };
  for (int i = 0; i < 2; ++i) {
    all.start([&, i] {
      for (int k = 0; k < times; ++k) {
        const auto sent = [&](bool) { ++in; };
        i == 0 ? select(on_send(a, 1, sent), on_send(b, 1, sent))
               : select(on_send(b, 1, sent), on_send(a, 1, sent));
      }
    });
    all.start([&, i] {
      for (int k = 0; k < times; ++k) {
        i == 0 ? select(on_receive(a, got), on_receive(b, got))
               : select(on_receive(b, got), on_receive(a, got));
      }
    });
  }
  all.join();
  EXPECT_EQ(in.load(), 2 * times);
  EXPECT_EQ(out.load(), 2 * times);
}

HEDDLE_CREW_TEST(Select, WaitsInTurnWithTheOthers) {
  channel<int> c, d;
  std::array<int, 4> got{};
  all.start_and_sleep([&] { got[0] = *c.receive(); });
  all.start_and_sleep(
      [&] { select(on_receive(d), on_receive(c, [&](std::optional<int> v) { got[1] = *v; })); });
  all.start_and_sleep([&] { got[2] = *c.receive(); });
  all.start_and_sleep([&] { select(on_receive(c, [&](std::optional<int> v) { got[3] = *v; })); });
  for (int i = 0; i < 4; ++i) c.send(i);
  all.join();
  EXPECT_EQ(got, (std::array<int, 4>{0, 1, 2, 3}));
}

HEDDLE_TEST(Select, OverNothingWaitsForEver) {
  channel<int> nil(nullptr);
  std::vector<select_case> none;
  for (int how = 0; how < 4; ++how) {
    auto waits = heddle_test::sleeping_fiber(rt, [&] {
      EXPECT_TRUE(heddle_test::cancelled_in([&] {
        if (how == 0) select();
        if (how == 1) select(none);
        if (how == 2) select(on_receive(nil), on_send(nil, 1), on_stop(std::stop_token()));
        if (how == 3) select(on_timeout(std::chrono::hours::max()));
      }));
    });
    EXPECT_TRUE(waits.cancel());
    waits.join();
  }
}

#if defined(HEDDLE_ASSERTIONS)
TEST(Select, DiesWithAMessageIfItIsMisused) {
  channel<int> c(1);
  auto twice = on_receive(c);
  EXPECT_DEATH(select(twice, twice), "case 0 of a select is also its case 1");
  std::stop_source never;
  auto stop_twice = on_stop(never.get_token());
  EXPECT_DEATH(select(stop_twice, stop_twice), "case 0 of a select is also its case 1");
  auto sends = on_send(c, 1);
  select(sends);
  EXPECT_DEATH(static_cast<void>(sends.value()), "the value of send case 0x[0-9a-f]+ was sent");
}
#endif
