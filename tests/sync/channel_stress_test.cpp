// SPDX-License-Identifier: BSL-1.0
// channel: many to many. Values in are values out, each exactly once, each producer's in its order.
#include "sync/crew.hpp"

#include <heddle/sync/channel.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

using heddle::channel;
using heddle::channel_status;
using heddle_test::crew;
using heddle_test::rounds;
using namespace std::chrono_literals;

namespace {

struct item {
  std::uint32_t producer;
  std::uint32_t number;
};

/// What came out, by producer and number.
class ledger {
 public:
  ledger(std::size_t producers, std::size_t each) : each_(each), times_(producers * each) {}
  void note(const item& v) { ++times_[v.producer * each_ + v.number]; }
  void expect_all(int times) const {
    std::size_t wrong = 0;
    for (const auto& n : times_) wrong += n.load() != times;
    EXPECT_EQ(wrong, 0u);
  }
  void expect_same_as(const ledger& other) const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < times_.size(); ++i) {
      wrong += times_[i].load() != other.times_[i].load();
    }
    EXPECT_EQ(wrong, 0u);
  }

 private:
  const std::size_t each_;
  std::vector<std::atomic<int>> times_;
};

/// One consumer's view: a producer's values come to it in their order.
class in_order {
 public:
  void note(const item& v) {
    auto& next = next_[v.producer];
    EXPECT_GE(v.number, next) << "of producer " << v.producer;
    next = v.number + 1;
  }

 private:
  std::array<std::uint32_t, 8> next_{};
};

void many_to_many(crew& all, std::size_t capacity, std::uint32_t producers, int consumers,
                  std::size_t values) {
  const std::size_t each = values / producers;
  channel<item> c(capacity);
  ledger out(producers, each);
  std::atomic<std::uint32_t> producing{producers};
  for (int i = 0; i < consumers; ++i) {
    all.start([&] {
      in_order order;
      for (const item& v : c) {
        order.note(v);
        out.note(v);
      }
    });
  }
  for (std::uint32_t p = 0; p < producers; ++p) {
    all.start([&, p] {
      for (std::uint32_t n = 0; n < each; ++n) ASSERT_TRUE(c.send({p, n}));
      if (--producing == 0) c.close();
    });
  }
  all.join();
  out.expect_all(1);
  EXPECT_EQ(c.size(), 0u);
}

}  // namespace

HEDDLE_CREW_TEST(ChannelStress, ManyToManyUnbuffered) { many_to_many(all, 0, 4, 4, rounds(6'000)); }
HEDDLE_CREW_TEST(ChannelStress, ManyToManyWithOneSlot) {
  many_to_many(all, 1, 3, 5, rounds(6'000));
}
HEDDLE_CREW_TEST(ChannelStress, ManyToManyBuffered) { many_to_many(all, 7, 5, 3, rounds(10'000)); }
HEDDLE_CREW_TEST(ChannelStress, ManyToManyWithALargeBuffer) {
  many_to_many(all, 1'000, 4, 4, rounds(20'000));
}
HEDDLE_CREW_TEST(ChannelStress, ManyToOne) { many_to_many(all, 3, 7, 1, rounds(6'000)); }
HEDDLE_CREW_TEST(ChannelStress, OneToMany) { many_to_many(all, 3, 1, 7, rounds(6'000)); }

// Every way of sending and receiving at once; what was not sent is sent again.
HEDDLE_CREW_TEST(ChannelStress, AllOperationsAtOnceLoseNothing) {
  for (const std::size_t capacity : {0u, 2u}) {
    constexpr std::uint32_t producers = 3;
    const std::size_t each = rounds(600);
    channel<std::unique_ptr<item>> c(capacity);
    ledger out(producers, each);
    std::atomic<std::uint32_t> producing{producers};
    for (std::uint32_t p = 0; p < producers; ++p) {
      all.start([&, p] {
        heddle_test::jitter pick(p + 1);
        for (std::uint32_t n = 0; n < each; ++n) {
          auto value = std::make_unique<item>(item{p, n});
          for (bool sent = false; !sent;) {
            switch (pick.below(5)) {
              case 0:
                sent = c.send(std::move(value));
                break;
              case 1:
                sent = c.try_send(std::move(value)) == channel_status::ok;
                break;
              case 2:
                sent = c.send_for(std::move(value), 30us) == channel_status::ok;
                break;
              case 3:
                sent = c.send_for(std::move(value), 0us) == channel_status::ok;
                break;
              default:
                sent = c.send_until(std::move(value), std::chrono::system_clock::now() + 30us) ==
                       channel_status::ok;
            }
            ASSERT_EQ(sent, value == nullptr);
          }
        }
        if (--producing == 0) c.close();
      });
    }
    for (unsigned i = 0; i < 4; ++i) {
      all.start([&, i] {
        heddle_test::jitter pick(i + 100);
        in_order order;
        for (;;) {
          heddle::received<std::unique_ptr<item>> got = channel_status::empty;
          switch (pick.below(4)) {
            case 0:
              got = c.try_receive();
              break;
            case 1:
              got = c.receive_for(30us);
              break;
            case 2:
              got = c.receive_until(std::chrono::system_clock::now() + 30us);
              break;
            default:
              got = {c.receive(), channel_status::closed};
          }
          if (got.status() == channel_status::closed) break;
          if (!got) continue;
          order.note(**got);
          out.note(**got);
        }
      });
    }
    all.join();
    out.expect_all(1);
  }
}

// Fibers are cancelled in the middle of it: their operations had no effect, or took place.
HEDDLE_TEST(ChannelStress, CancelledOnesLoseNothing) {
  for (const std::size_t capacity : {0u, 1u, 3u}) {
    const std::size_t fibers = rounds(400);
    channel<item> c(capacity);
    ledger sent(2, fibers), got(2, fibers);
    std::vector<heddle::fiber> all;
    heddle_test::jitter pick(42);
    for (std::uint32_t i = 0; i < fibers; ++i) {
      all.emplace_back([&, i] {
        if (c.send({0, i})) sent.note({0, i});
      });
      all.emplace_back([&] {
        if (auto v = c.receive()) got.note(*v);
      });
      if (pick.below(3) == 0) all[pick.below(static_cast<unsigned>(all.size()))].cancel();
      if (pick.below(8) == 0) heddle::this_fiber::yield();
    }
    for (auto& f : all) {
      f.cancel();
      f.join();
    }
    while (auto v = c.try_receive()) got.note(*v);
    sent.expect_same_as(got);
  }
}
