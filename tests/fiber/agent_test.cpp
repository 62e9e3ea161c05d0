// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/fiber/agent.hpp>

namespace {

using namespace heddle_test;
using heddle::detail::agent;
using heddle::detail::case_cancelled;
using heddle::detail::case_index;
using heddle::detail::case_timeout;
using heddle::detail::claim_word;
using heddle::detail::ticket;

TEST(ClaimWord, CanBeClaimedOnceWhenOpen) {
  claim_word word;
  const ticket t = word.next(false);
  EXPECT_TRUE(t);
  EXPECT_FALSE(word.try_claim(t, 3)) << "it is not open yet";
  word.open(t);
  EXPECT_TRUE(word.try_claim(t, 3));
  EXPECT_EQ(word.winner(), 3);
  EXPECT_FALSE(word.try_claim(t, 4));
  EXPECT_EQ(word.winner(), 3);
}

TEST(ClaimWord, KeepsEveryCaseApart) {
  claim_word word;
  for (const case_index winner : {case_index{0}, case_index{1}, case_index{0xFFFC},
                                  heddle::detail::case_stopped, case_cancelled, case_timeout}) {
    const ticket t = word.next(true);
    word.open(t);
    EXPECT_TRUE(word.try_claim(t, winner));
    EXPECT_EQ(word.winner(), winner);
  }
}

TEST(ClaimWord, RefusesTheTicketOfAnEarlierWait) {
  claim_word word;
  const ticket first = word.next(true);
  word.open(first);
  EXPECT_TRUE(word.try_claim(first, 0));
  const ticket second = word.next(true);
  word.open(second);
  EXPECT_FALSE(word.try_claim(first, 1));
  EXPECT_TRUE(word.try_claim(second, 2));
  EXPECT_EQ(word.winner(), 2);
}

TEST(ClaimWord, RefusesATicketOfNothing) {
  claim_word word;
  EXPECT_FALSE(ticket{});
  word.open(word.next(true));
  EXPECT_FALSE(word.try_claim(ticket{}, 1));
}

TEST(ClaimWord, ShowsACancellerOnlyWaitsThatMayBeCancelled) {
  claim_word word;
  EXPECT_FALSE(word.cancellable_now()) << "no wait yet";
  const ticket deaf = word.next(false);
  word.open(deaf);
  EXPECT_FALSE(word.cancellable_now());
  EXPECT_TRUE(word.try_claim(deaf, 0));

  const ticket open = word.next(true);
  EXPECT_FALSE(word.cancellable_now()) << "not open yet";
  word.open(open);
  const ticket found = word.cancellable_now();
  ASSERT_TRUE(found);
  EXPECT_TRUE(word.try_claim(found, case_cancelled));
  EXPECT_EQ(word.winner(), case_cancelled);
  EXPECT_FALSE(word.try_claim(open, 0));
  EXPECT_FALSE(word.cancellable_now()) << "closed";
}

TEST(ClaimWord, IsClaimedByExactlyOneOfMany) {
  constexpr int claimers = 4;
  const time_limit limit;
  claim_word word;
  ticket open;
  std::atomic<std::size_t> round{0};
  std::atomic<int> arrived{0};
  std::atomic<int> wins{0}, winner{-1};
  std::atomic<bool> over{false};
  std::thread owner([&] {
    for (std::size_t i = 0; i < rounds(20'000) && !limit.over(); ++i) {
      open = word.next(true);
      word.open(open);
      wins = 0;
      arrived = 0;
      ++round;
      while (arrived < claimers) std::this_thread::yield();
      EXPECT_EQ(wins, 1);
      EXPECT_EQ(word.winner(), winner);
    }
    over = true;
  });
  on_threads(claimers, [&](int me) {
    for (std::size_t seen = 0;;) {
      while (round == seen && !over) std::this_thread::yield();
      if (round == seen) return;
      ++seen;
      if (word.try_claim(open, static_cast<case_index>(me))) {
        winner = me;
        ++wins;
      }
      ++arrived;
    }
  });
  owner.join();
}

}  // namespace
