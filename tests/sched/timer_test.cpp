// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/base/random.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/timer.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>

namespace {

using namespace heddle_test;
using heddle::detail::agent;
using heddle::detail::case_timeout;
using heddle::detail::no_deadline;
using heddle::detail::random_source;
using heddle::detail::timer_node;
using heddle::detail::timer_store;

constexpr std::int64_t tick_ns = 1 << 15;
constexpr std::int64_t never = 9'000'000'000'000'000'000;  // as far as deadline_after() goes

/// One who waits, with the timer that ends it.
struct sleeper {
  sleeper() : who(false) {}

  /// Begins a wait that ends at `deadline_ns`.
  bool arm(timer_store& store, std::int64_t deadline_ns) {
    node.who = &who;
    node.claim = who.claim.next(false);
    node.deadline_ns = deadline_ns;
    who.claim.open(node.claim);
    return store.add(node);
  }
  /// Ends the wait otherwise than by time.
  bool claim() { return who.claim.try_claim(node.claim, 0); }

  agent who;
  timer_node node;
};

/// What fires at `now`, in order.
std::vector<agent*> fired(timer_store& store, std::int64_t now) {
  std::vector<agent*> all;
  agent* out[8];
  std::size_t count;
  do {
    count = store.expire(now, out, std::size(out));
    all.insert(all.end(), out, out + count);
  } while (count == std::size(out));
  return all;
}

std::int64_t rounded_up(std::int64_t deadline) {
  return (deadline + tick_ns - 1) / tick_ns * tick_ns;
}

class TimerStore : public ::testing::Test {
 protected:
  virtual_time time;  // an empty store asks the clock where it stands
  timer_store store;
  const std::int64_t start = heddle::detail::now_ns();
};

TEST_F(TimerStore, FiresNotBeforeTheDeadlineAndWithinATickAfterIt) {
  for (const std::int64_t wait : {std::int64_t{1}, tick_ns - 1, tick_ns, tick_ns + 1, 64 * tick_ns,
                                  std::int64_t{1'000'000'000}, std::int64_t{3'600'000'000'000}}) {
    timer_store fresh;
    sleeper s;
    EXPECT_TRUE(s.arm(fresh, start + wait));
    EXPECT_TRUE(fired(fresh, start + wait - 1).empty()) << wait;
    EXPECT_EQ(fresh.size(), 1u);
    EXPECT_EQ(fired(fresh, start + wait + tick_ns), (std::vector{&s.who})) << wait;
    EXPECT_EQ(s.who.claim.winner(), case_timeout);
    EXPECT_EQ(fresh.size(), 0u);
    EXPECT_TRUE(fired(fresh, start + 2 * wait + tick_ns).empty()) << "it fired twice";
  }
}

TEST_F(TimerStore, FiresAtOnceWhatIsInThePast) {
  sleeper s[3];
  s[0].arm(store, start - 1'000'000'000);
  s[1].arm(store, 0);
  s[2].arm(store, -5);
  EXPECT_LE(store.earliest(), start);
  EXPECT_EQ(fired(store, start).size(), 3u);
}

TEST_F(TimerStore, TellsWhichTimerIsTheEarliest) {
  sleeper s[3];
  EXPECT_EQ(store.earliest(), no_deadline);
  EXPECT_TRUE(s[0].arm(store, start + 1'000'000'000));
  EXPECT_FALSE(s[1].arm(store, start + 2'000'000'000));
  EXPECT_TRUE(s[2].arm(store, start + 500'000'000));
  EXPECT_LE(store.earliest(), rounded_up(start + 500'000'000));
  EXPECT_GT(store.earliest(), start);
  for (auto& each : s) store.cancel(each.node);
  (void)fired(store, start + 500'000'000);
  EXPECT_EQ(store.earliest(), no_deadline);
}

TEST_F(TimerStore, NeverFiresWhatWasCancelled) {
  sleeper s[2];
  s[0].arm(store, start + 1'000'000);
  s[1].arm(store, start + 1'000'000);
  store.cancel(s[0].node);
  EXPECT_EQ(store.size(), 1u);
  EXPECT_EQ(fired(store, start + 5'000'000), (std::vector{&s[1].who}));
  EXPECT_TRUE(s[0].claim()) << "its wait was ended";
  store.cancel(s[1].node);  // too late: no harm
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(TimerStore, LeavesAloneWhoseWaitSomebodyElseHasEnded) {
  sleeper s[2];
  s[0].arm(store, start + 1'000'000);
  s[1].arm(store, start + 1'000'000);
  EXPECT_TRUE(s[0].claim());
  EXPECT_EQ(fired(store, start + 5'000'000), (std::vector{&s[1].who}));
  EXPECT_EQ(s[0].who.claim.winner(), 0);
  EXPECT_EQ(store.size(), 0u);
  store.cancel(s[0].node);
}

TEST_F(TimerStore, FiresNoMoreThanThereIsRoomFor) {
  std::deque<sleeper> all(10);
  for (auto& each : all) each.arm(store, start + 1'000);
  agent* out[4];
  const std::int64_t now = start + 10 * tick_ns;
  EXPECT_EQ(store.expire(now, out, 4), 4u);
  EXPECT_EQ(store.size(), 6u);
  EXPECT_LE(store.earliest(), now) << "the rest is due";
  EXPECT_EQ(store.expire(now, out, 4), 4u);
  EXPECT_EQ(store.expire(now, out, 4), 2u);
  EXPECT_EQ(store.earliest(), no_deadline);
}

TEST_F(TimerStore, HoldsDeadlinesOfEveryDistance) {
  // One on each side of each boundary between the levels, and as far as time goes.
  std::deque<sleeper> all;
  std::multimap<std::int64_t, agent*> model;
  for (std::int64_t span = tick_ns; span < never / 16; span *= 16) {
    for (const std::int64_t off : {-tick_ns, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}}) {
      for (const std::int64_t at : {start + span + off, rounded_up(start) / span * span + off}) {
        if (at <= start) continue;
        all.emplace_back().arm(store, at);
        model.emplace(at, &all.back().who);
      }
    }
  }
  for (const std::int64_t at : {never - 1, never}) {
    all.emplace_back().arm(store, at);
    model.emplace(at, &all.back().who);
  }
  // Follows the store's own advice when to look; that must come to an end, and be never too late.
  int looks = 0;
  for (std::int64_t now = start; !model.empty(); ++looks) {
    const std::int64_t earliest = store.earliest();
    ASSERT_LE(earliest, rounded_up(model.begin()->first));
    now = std::max(now, earliest);
    for (agent* who : fired(store, now)) {
      const auto found = std::find_if(model.begin(), model.end(),
                                      [who](const auto& each) { return each.second == who; });
      ASSERT_NE(found, model.end()) << "fired twice";
      ASSERT_LE(found->first, now) << "too early";
      model.erase(found);
    }
    ASSERT_TRUE(model.empty() || rounded_up(model.begin()->first) > now) << "too late";
    ASSERT_LT(looks, 2000);
  }
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(TimerStore, AgreesWithASortedMapOverRandomOperations) {
  for (std::uint64_t seed = 1; seed <= rounds(30); ++seed) {
    random_source random(seed);
    timer_store wheel;
    std::deque<sleeper> all(300);
    std::vector<sleeper*> idle;
    for (auto& each : all) idle.push_back(&each);
    std::multimap<std::int64_t, sleeper*> model;
    std::unordered_map<agent*, std::multimap<std::int64_t, sleeper*>::iterator> place;
    const auto random_span = [&]() -> std::int64_t {
      return static_cast<std::int64_t>((std::uint64_t{random.next()} << 20 | random.next() >> 12) >>
                                       random.below(52));
    };
    std::int64_t now = heddle::detail::now_ns();
    for (int step = 0; step < 3'000; ++step) {
      const auto what = random.below(100);
      if (what < 45 && !idle.empty()) {
        const auto pick = random.below(static_cast<std::uint32_t>(idle.size()));
        sleeper* s = idle[pick];
        idle.erase(idle.begin() + pick);
        const std::int64_t at = random.below(20) == 0 ? now - random_span() : now + random_span();
        const bool first = s->arm(wheel, at);
        if (first && !model.empty()) {
          ASSERT_LE(rounded_up(at), rounded_up(model.begin()->first));
        }
        place[&s->who] = model.emplace(at, s);
      } else if (what < 70 && !model.empty()) {
        auto victim = model.begin();
        std::advance(victim, random.below(static_cast<std::uint32_t>(model.size())));
        wheel.cancel(victim->second->node);
        ASSERT_TRUE(victim->second->claim()) << "it had fired";
        idle.push_back(victim->second);
        place.erase(&victim->second->who);
        model.erase(victim);
      } else {
        const std::int64_t by = random.below(4) == 0 && !model.empty()
                                    ? std::max<std::int64_t>(wheel.earliest() - now, 0)
                                    : random_span() >> random.below(20);
        if (by > never - now) continue;
        now += by;
        time.advance(std::chrono::nanoseconds(by));
        for (agent* who : fired(wheel, now)) {
          const auto it = place.find(who);
          ASSERT_NE(it, place.end()) << "cancelled, or fired twice";
          ASSERT_LE(it->second->first, now) << "too early";
          ASSERT_EQ(who->claim.winner(), case_timeout);
          idle.push_back(it->second->second);
          model.erase(it->second);
          place.erase(it);
        }
        ASSERT_TRUE(model.empty() || rounded_up(model.begin()->first) > now) << "too late";
      }
      ASSERT_EQ(wheel.size(), model.size());
      if (!model.empty()) {
        ASSERT_LE(wheel.earliest(), std::max(now, rounded_up(model.begin()->first)));
      }
    }
  }
}

TEST_F(TimerStore, HoldsAMillionTimers) {
  // Whatever is not O(1) an operation takes hours here.
  const std::size_t count = rounds(1'000'000);
  const auto all = std::make_unique<sleeper[]>(count);
  random_source random(1);
  std::size_t expected = 0;
  for (std::size_t i = 0; i < count; ++i) {
    all[i].arm(store, start + random.below(1'000'000'000));
  }
  EXPECT_EQ(store.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 2 == 0) {
      store.cancel(all[i].node);
    } else {
      ++expected;
    }
  }
  EXPECT_EQ(store.size(), expected);
  agent* out[64];
  std::size_t seen = 0;
  for (std::int64_t now = start; now < start + 1'100'000'000; now += 10'000'000) {
    std::size_t got;
    do {
      got = store.expire(now, out, 64);
      seen += got;
    } while (got == 64);
  }
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(TimerStore, DoesNotWalkThroughTheTimeItSlept) {
  // An advance over centuries goes by what is there, not tick by tick.
  sleeper s;
  for (int i = 0; i < 1000; ++i) {
    timer_store fresh;
    s.arm(fresh, start + 1);
    EXPECT_EQ(fired(fresh, never).size(), 1u);
    s.arm(fresh, never - 1);
    EXPECT_EQ(fired(fresh, never).size(), 1u);
  }
}

TEST_F(TimerStore, FiresOrCancelsButNotBothWhenTheyRace) {
  const auto turns = rounds(50'000);
  std::deque<sleeper> all(turns);
  std::atomic<bool> over{false};
  std::vector<std::atomic<int>> ended(turns);
  std::unordered_map<agent*, std::size_t> index;
  for (std::size_t i = 0; i < turns; ++i) index[&all[i].who] = i;
  std::thread expirer([&] {
    agent* out[16];
    while (!over) {
      const std::size_t n = store.expire(start + 1'000'000'000, out, 16);
      for (std::size_t i = 0; i < n; ++i) ++ended[index[out[i]]];
    }
  });
  const time_limit limit;
  std::size_t armed = 0;
  for (std::size_t i = 0; i < turns && !limit.over(); ++i, ++armed) {
    all[i].arm(store, start + 1'000);
    for (std::size_t pause = 0; pause < i % 64; ++pause) heddle::detail::cpu_relax();
    store.cancel(all[i].node);
    // Nobody touches the node any more; and who did not fire can still be ended by others.
    const bool fired_first = !all[i].claim();
    if (!fired_first) ++ended[i];
    all[i].node.who = nullptr;
  }
  over = true;
  expirer.join();
  for (std::size_t i = 0; i < armed; ++i) ASSERT_EQ(ended[i], 1);
  EXPECT_EQ(store.size(), 0u);
}

}  // namespace
