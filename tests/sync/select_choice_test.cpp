// SPDX-License-Identifier: BSL-1.0
// select: among several ready cases each is as likely as the others. The statistic is chi-square;
//   the bound is passed by fair choices with a probability beyond 1 - 10^-9 for 7 degrees of
//   freedom, and by an unfair one of 10 % in one of eight cases never.
#include "sync/crew.hpp"

#include <heddle/sync/select.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

using heddle::channel;
using heddle::on_receive;
using heddle::on_send;
using heddle::on_stop;
using heddle::otherwise;
using heddle::select;
using heddle::select_case;

namespace {

constexpr double bound = 58.0;

double chi_square(std::span<const double> counts, std::size_t total) {
  const double expected = static_cast<double>(total) / static_cast<double>(counts.size());
  double sum = 0;
  for (const double n : counts) sum += (n - expected) * (n - expected) / expected;
  return sum;
}

/// Selects over all of `cases` again and again; `ready` of them are.
void expect_fair(std::vector<select_case>& cases, std::size_t ready) {
  const std::size_t times = heddle_test::rounds(20'000);
  std::vector<double> taken(cases.size());
  for (std::size_t i = 0; i < times; ++i) ++taken[select(cases)];
  std::erase(taken, 0.0);
  EXPECT_EQ(taken.size(), ready);
  EXPECT_LT(chi_square(taken, times), bound);
}

}  // namespace

HEDDLE_CREW_TEST(SelectChoice, IsFairAmongTwoToEight) {
  std::array<channel<int>, 8> closed;
  for (auto& c : closed) c.close();
  for (std::size_t ready = 2; ready <= 8; ++ready) {
    std::vector<select_case> cases;
    for (std::size_t i = 0; i < ready; ++i) cases.emplace_back(on_receive(closed[i]));
    expect_fair(cases, ready);
  }
}

// Whoever stands behind some that are not ready is no likelier for it.
HEDDLE_CREW_TEST(SelectChoice, IsFairWhereverTheReadyOnesStand) {
  std::array<channel<int>, 3> closed;
  for (auto& c : closed) c.close();
  channel<int> never, nil(nullptr);
  std::stop_source stop;
  stop.request_stop();
  std::vector<select_case> cases;
  cases.emplace_back(on_receive(closed[0]));
  cases.emplace_back(on_receive(never));
  cases.emplace_back(on_receive(nil));
  cases.emplace_back(on_send(never, 1));
  cases.emplace_back(otherwise());
  cases.emplace_back(on_receive(closed[1]));
  cases.emplace_back(on_stop(stop.get_token()));
  cases.emplace_back(on_stop(std::stop_token()));
  cases.emplace_back(on_receive(closed[2]));
  expect_fair(cases, 4);
}

// What one choice was says nothing of the next.
HEDDLE_CREW_TEST(SelectChoice, IsNoSequence) {
  std::array<channel<int>, 3> closed;
  for (auto& c : closed) c.close();
  const std::size_t times = heddle_test::rounds(20'000);
  std::array<double, 9> pairs{};
  std::size_t last = 0;
  for (std::size_t i = 0; i < times; ++i) {
    const std::size_t now =
        select(on_receive(closed[0]), on_receive(closed[1]), on_receive(closed[2]));
    ++pairs[last * 3 + now];
    last = now;
  }
  EXPECT_LT(chi_square(pairs, times), bound);
}

HEDDLE_CREW_TEST(SelectChoice, IsFairWithWhatIsBuffered) {
  std::array<channel<int>, 4> buffered{channel<int>(1), channel<int>(1), channel<int>(1),
                                       channel<int>(1)};
  std::array<double, 4> taken{};
  const std::size_t times = heddle_test::rounds(20'000);
  for (auto& c : buffered) c.send(1);
  for (std::size_t i = 0; i < times; ++i) {
    const std::size_t which = select(on_receive(buffered[0]), on_receive(buffered[1]),
                                     on_receive(buffered[2]), on_receive(buffered[3]));
    ++taken[which];
    EXPECT_TRUE(buffered[which].send(1));
  }
  EXPECT_LT(chi_square(taken, times), bound);
}
