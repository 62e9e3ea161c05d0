// SPDX-License-Identifier: BSL-1.0
// select: trap 9: a value, close, a timeout, a stop, a cancellation and other selects come at the
//   same moment. Exactly one case is taken, and the values that went in are those that come out.
#include "sync/crew.hpp"

#include <heddle/sync/select.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>

using heddle::channel;
using heddle::channel_status;
using heddle::on_receive;
using heddle::on_send;
using heddle::on_stop;
using heddle::on_timeout;
using heddle::otherwise;
using heddle::select;
using heddle_test::cancelled_in;
using heddle_test::jitter;
using heddle_test::rounds;
using heddle_test::start_line;
using std::chrono::microseconds;

namespace {

/// What happened in a round, counted by those who take part.
struct tally {
  std::atomic<int> in{0}, out{0};

  auto sends() {
    return [this](bool sent) { in += sent ? 1 : 0; };
  }
  auto receives() {
    return [this](const auto& v) { out += v ? 1 : 0; };
  }
  void drain(channel<int>& c) {
    while (c.try_receive()) ++out;
  }
};

struct meeting {
  explicit meeting(std::size_t capacity) : c(capacity), d(capacity), e(capacity) {}
  channel<int> c, d, e;
  std::stop_source stop;
  tally values;
};

}  // namespace

HEDDLE_CREW_TEST(SelectRace, AgainstAnotherSelectCloseStopAndTime) {
  const std::size_t times = rounds(100'000) / 9 + 1;
  start_line line(3);
  std::optional<meeting> now;
  all.start([&] {
    jitter late(1);
    for (std::size_t i = 0; i < times; ++i) {
      now.emplace(i % 4 == 0 ? 1u : 0u);
      meeting& m = *now;
      line.wait();
      late();
      int handled = 0;
      const auto count = [&](auto then) {
        return [&handled, then](auto v) mutable {
          ++handled;
          then(v);
        };
      };
      const std::size_t taken = select(on_receive(m.c, count(m.values.receives())),
                                       on_receive(m.d, count(m.values.receives())),
                                       on_send(m.e, 1, count(m.values.sends())),
                                       on_timeout(microseconds(late.below(40)), [&] { ++handled; }),
                                       on_stop(m.stop.get_token(), [&] { ++handled; }));
      EXPECT_EQ(handled, 1);
      EXPECT_LT(taken, 5u);
      line.wait();
      for (auto* each : {&m.c, &m.d, &m.e}) m.values.drain(*each);
      ASSERT_EQ(m.values.in.load(), m.values.out.load()) << "in round " << i;
    }
  });
  all.start([&] {
    jitter late(2);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      meeting& m = *now;
      late();
      int handled = 0;
      select(on_send(m.d, 1,
                     [&](bool sent) {
                       ++handled;
                       m.values.in += sent ? 1 : 0;
                     }),
             on_send(m.c, 1,
                     [&](bool sent) {
                       ++handled;
                       m.values.in += sent ? 1 : 0;
                     }),
             on_receive(m.e,
                        [&](auto v) {
                          ++handled;
                          m.values.out += v ? 1 : 0;
                        }),
             on_timeout(microseconds(late.below(40)), [&] { ++handled; }));
      EXPECT_EQ(handled, 1);
      line.wait();
    }
  });
  all.start([&] {
    jitter late(3);
    for (std::size_t i = 0; i < times; ++i) {
      line.wait();
      meeting& m = *now;
      late();
      switch (late.below(6)) {
        case 0:
          m.c.close();
          break;
        case 1:
          m.e.close();
          break;
        case 2:
          m.stop.request_stop();
          break;
        case 3:
          if (m.c.try_send(1) == channel_status::ok) ++m.values.in;
          break;
        case 4:
          if (m.e.try_receive()) ++m.values.out;
          break;
        default:
          select(on_receive(m.e, m.values.receives()), on_send(m.d, 1, m.values.sends()),
                 otherwise());
      }
      line.wait();
    }
  });
  all.join();
}

HEDDLE_TEST(SelectRace, AgainstCancellation) {
  const std::size_t times = rounds(100'000) / 3 + 1;
  jitter late(4);
  const heddle_test::time_limit limit;
  for (std::size_t i = 0; i < times && !limit.over(); ++i) {
    meeting m(i % 4 == 0 ? 1u : 0u);
    int handled = 0;
    bool thrown = false;
    heddle::fiber waits([&] {
      thrown = cancelled_in([&] {
                 select(on_receive(m.c,
                                   [&](auto v) {
                                     ++handled;
                                     m.values.out += v ? 1 : 0;
                                   }),
                        on_send(m.e, 1,
                                [&](bool sent) {
                                  ++handled;
                                  m.values.in += sent ? 1 : 0;
                                }),
                        on_stop(heddle::this_fiber::get_stop_token(), [&] { ++handled; }),
                        on_timeout(microseconds(i % 64), [&] { ++handled; }));
               }).has_value();
    });
    heddle::fiber other([&] {
      select(on_send(m.c, 1, m.values.sends()), on_receive(m.e, m.values.receives()),
             on_timeout(microseconds(i % 16)));
    });
    for (unsigned n = late.below(4); n > 0; --n) heddle::this_fiber::yield();
    late();
    waits.cancel();
    waits.join();
    other.join();
    ASSERT_EQ(handled + (thrown ? 1 : 0), 1) << "in round " << i;
    m.values.drain(m.c);
    m.values.drain(m.e);
    ASSERT_EQ(m.values.in.load(), m.values.out.load()) << "in round " << i;
  }
}

// Four who select, both ways over the same channels, in every order; time passes at any moment.
HEDDLE_CREW_TEST(SelectRace, NoValueIsLostOrMadeUp) {
  const std::size_t times = rounds(20'000) / 9 + 1;
  for (const std::size_t capacity : {0u, 2u}) {
    std::array<channel<int>, 3> c{channel<int>(capacity), channel<int>(0), channel<int>(capacity)};
    tally values;
    for (unsigned i = 0; i < 4; ++i) {
      all.start([&, i] {
        jitter late(i + 1);
        for (std::size_t k = 0; k < times; ++k) {
          const std::size_t x = late.below(3), y = late.below(3), z = late.below(3);
          late();
          const auto in = values.sends();
          const auto out = values.receives();
          if (late.below(2) == 0) {
            select(on_send(c[x], 1, in), on_receive(c[y], out), on_send(c[z], 1, in),
                   on_timeout(microseconds(late.below(60))));
          } else {
            select(on_receive(c[x], out), on_receive(c[y], out), on_send(c[z], 1, in),
                   on_timeout(microseconds(late.below(60))));
          }
        }
      });
    }
    all.join();
    for (auto& each : c) values.drain(each);
    EXPECT_GT(values.in.load(), 0);
    EXPECT_EQ(values.in.load(), values.out.load());
  }
}
