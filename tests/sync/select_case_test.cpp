// SPDX-License-Identifier: BSL-1.0
// select: cases known only at run time, and cases that are used again.
#include "sync/crew.hpp"

#include <heddle/sync/select.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

using heddle::channel;
using heddle::on_receive;
using heddle::on_send;
using heddle::on_stop;
using heddle::on_timeout;
using heddle::otherwise;
using heddle::select;
using heddle::select_case;
using namespace std::chrono_literals;

namespace {

constexpr auto unwanted = [](auto&&...) { ADD_FAILURE() << "not this case"; };

}  // namespace

HEDDLE_CREW_TEST(SelectCase, ReceivesFromManyUntilAllAreClosed) {
  constexpr int parties = 5, each = 20;
  std::vector<channel<int>> channels(parties);
  int sum = 0;
  std::size_t open = parties;
  std::vector<select_case> cases;
  for (auto& c : channels) {
    cases.emplace_back(on_receive(c, [&](std::optional<int> v) {
      sum += v.value_or(0);
      if (!v) --open;
    }));
  }
  for (auto& c : channels) {
    all.start([c]() mutable {
      for (int i = 1; i <= each; ++i) EXPECT_TRUE(c.send(i));
      c.close();
    });
  }
  while (open > 0) {
    const std::size_t before = open;
    const std::size_t taken = select(cases);
    if (open < before) cases[taken] = select_case();  // as setting it to nil in Go
  }
  all.join();
  EXPECT_EQ(sum, parties * each * (each + 1) / 2);
}

HEDDLE_CREW_TEST(SelectCase, HasEveryKindOfCase) {
  channel<int> c(1);
  std::stop_source stop;
  std::array<select_case, 4> cases{on_receive(c), on_timeout(1h), on_stop(stop.get_token()),
                                   otherwise()};
  EXPECT_EQ(select(cases), 3u);
  c.send(1);
  EXPECT_EQ(select(std::span(cases).first(3)), 0u);
  all.start_and_sleep([&] { EXPECT_EQ(select(std::span(cases).first(3)), 2u); });
  stop.request_stop();
  all.join();
  cases[1] = on_timeout(0s);
  EXPECT_EQ(select(std::span(cases).first(2)), 1u);
}

HEDDLE_CREW_TEST(SelectCase, ASendCaseThatWasTakenIsSpent) {
  channel<int> c(3);
  std::vector<select_case> cases;
  for (int i = 0; i < 2; ++i) cases.push_back(on_send(c, i));
  cases.push_back(otherwise());
  EXPECT_LT(select(cases), 2u);
  EXPECT_LT(select(cases), 2u);
  EXPECT_EQ(select(cases), 2u);
  EXPECT_EQ(*c.receive() + *c.receive(), 1);
  // Also when it was told that the channel is closed.
  bool told = false;
  cases[0] = on_send(c, 1, [&](bool sent) { told = !sent; });
  c.close();
  EXPECT_EQ(select(cases), 0u);
  EXPECT_TRUE(told);
  EXPECT_EQ(select(cases), 2u);
}

HEDDLE_CREW_TEST(SelectCase, AnEmptyOrMovedFromOneIsNeverReady) {
  channel<int> c(2);
  c.send(1);
  select_case none, from = on_receive(c, unwanted), to = std::move(from);
  EXPECT_EQ(select(none, from, otherwise()), 2u);
  from = select_case(on_receive(c));
  to = std::move(none);
  EXPECT_EQ(select(to, from, none), 1u);
  EXPECT_EQ(select(on_send(c, 5), from, on_timeout(1h)), 0u) << "it goes with others";
  EXPECT_EQ(select(from, to), 0u);
}

HEDDLE_CREW_TEST(SelectCase, OwnsItsHandlerAndItsValue) {
  auto shared = std::make_shared<int>(1);
  channel<std::shared_ptr<int>> c(1);
  {
    std::vector<select_case> cases;
    cases.push_back(on_send(c, shared, [shared](bool) {}));
    cases.push_back(on_receive(c, [shared](auto v) { EXPECT_EQ(v.value(), shared); }));
    EXPECT_EQ(shared.use_count(), 4);
    EXPECT_EQ(select(cases), 0u);
    EXPECT_EQ(select(cases), 1u);
    EXPECT_EQ(shared.use_count(), 3);
  }
  EXPECT_EQ(shared.use_count(), 1);
}

HEDDLE_CREW_TEST(SelectCase, RefusesWhatMakesNoSense) {
  std::vector<select_case> two;
  two.push_back(otherwise(unwanted));
  two.push_back(otherwise(unwanted));
  EXPECT_THROW(select(two), std::invalid_argument);
  EXPECT_THROW(select(two[0], otherwise(unwanted)), std::invalid_argument);
  std::vector<select_case> many(65'001);
  EXPECT_THROW(select(many), std::invalid_argument);
  many.pop_back();
  many[64'000] = otherwise();
  EXPECT_EQ(select(many), 64'000u);
}

HEDDLE_CREW_TEST(SelectCase, ManyChannels) {
  const std::size_t count = heddle_test::rounds(10'000);
  std::vector<channel<std::size_t>> channels(count);
  std::vector<select_case> cases;
  std::size_t got = count;
  for (auto& c : channels) {
    cases.emplace_back(on_receive(c, [&got](std::optional<std::size_t> v) { got = *v; }));
  }
  for (const std::size_t which : {count - 1, count / 2}) {
    all.start_and_sleep([&] { EXPECT_EQ(select(cases), which); });
    EXPECT_TRUE(channels[which].send(which));
    all.join();
    EXPECT_EQ(got, which);
  }
}
