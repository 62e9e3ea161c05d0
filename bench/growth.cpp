// SPDX-License-Identifier: BSL-1.0
// Does the cost of an operation stay where it is when there is more of everything? Against the
// number of channels in a select, of timers that are armed, and of workers on the cores there are.
// (Against the number of fibers: yield_many and parked_memory.)
#include <cstdint>
#include <deque>
#include <vector>

#include "heddle_world.hpp"
#include "measure.hpp"

namespace bench {
namespace {

// `over` unbuffered channels with a sender each, all of them ready; an operation is one value.
double select_all_ready(std::int64_t over, std::int64_t values) {
  std::vector<heddle::channel<std::int64_t>> channels(static_cast<std::size_t>(over));
  const std::int64_t each = (values + over - 1) / over;
  std::deque<heddle::fiber> senders;
  for (auto& channel : channels)
    senders.emplace_back([channel, each]() mutable {
      for (std::int64_t i = 0; i < each; ++i) channel.send(i);
    });
  std::vector<heddle::select_case> cases;
  for (auto& channel : channels) cases.push_back(heddle::on_receive(channel));
  heddle::this_fiber::yield();  // they come to their first send
  return timed([&] {
           for (std::int64_t i = 0; i < each * over; ++i) heddle::select(cases);
         }) *
         static_cast<double>(values) / static_cast<double>(each * over);
}

// `over` channels, of which one gets a value at a time: the select sleeps for each.
double select_one_ready(std::int64_t over, std::int64_t values) {
  std::vector<heddle::channel<std::int64_t>> channels(static_cast<std::size_t>(over));
  const heddle::fiber sender([&] {
    for (std::int64_t i = 0; i < values; ++i)
      channels[static_cast<std::size_t>(i * 7 % over)].send(i);
  });
  std::vector<heddle::select_case> cases;
  for (auto& channel : channels) cases.push_back(heddle::on_receive(channel));
  return timed([&] {
    for (std::int64_t i = 0; i < values; ++i) heddle::select(cases);
  });
}

template <double (*Body)(std::int64_t, std::int64_t)>
void selecting(benchmark::State& state) {
  heddle_world world(1);
  const std::int64_t over = state.range(0), values = state.range(1);
  measure(state, world, values, [=] { return Body(over, values); });
}

// A wait for at most an hour that a value ends at once: its timer is armed and taken back, beside
// `n` others, whose fibers sleep.
void timed_wait(benchmark::State& state) {
  heddle_world world(1);
  constexpr std::int64_t values = 20'000;
  world.run([n = state.range(0)] {
    for (std::int64_t i = 0; i < n; ++i)
      heddle::go([i] { heddle::this_fiber::sleep_for(std::chrono::seconds(3'600 + i % 3'600)); });
    heddle::this_fiber::sleep_for(std::chrono::milliseconds(10));  // all sleep
  });
  measure(state, world, values, [] {
    heddle::channel<std::int64_t> channel;
    const heddle::fiber sender([channel]() mutable {
      for (std::int64_t i = 0; i < values; ++i) channel.send(i);
    });
    return timed([&] {
      for (std::int64_t i = 0; i < values; ++i)
        benchmark::DoNotOptimize(channel.receive_for(std::chrono::hours(1)));
    });
  });
}

// 1,000 fibers that yield, on more workers than there are cores; longer than a few of the kernel's
// time slices.
void yield_on(benchmark::State& state) {
  heddle_world world(static_cast<unsigned>(state.range(0)));
  constexpr std::int64_t n = 1'000, yields = 2'000;
  measure(state, world, n * yields, [] {
    return timed([] {
      heddle::wait_group ended;
      for (std::int64_t i = 0; i < n; ++i)
        ended.go([] {
          for (std::int64_t k = 0; k < yields; ++k) heddle::this_fiber::yield();
        });
      ended.wait();
    });
  });
}

// 100 pairs, each a ping-pong over two unbuffered channels; an operation is a round trip.
void ping_pong_on(benchmark::State& state) {
  heddle_world world(static_cast<unsigned>(state.range(0)));
  constexpr std::int64_t pairs = 100, trips = 2'000;
  measure(state, world, pairs * trips, [] {
    return timed([] {
      heddle::wait_group ended;
      for (std::int64_t i = 0; i < pairs; ++i) {
        heddle::channel<std::int64_t> there, back;
        ended.go([there, back]() mutable {
          for (const std::int64_t value : there) back.send(value);
        });
        ended.go([there, back]() mutable {
          for (std::int64_t k = 0; k < trips; ++k) {
            there.send(k);
            benchmark::DoNotOptimize(back.receive());
          }
          there.close();
        });
      }
      ended.wait();
    });
  });
}

void over(benchmark::internal::Benchmark* b) {
  b->ArgNames({"over", "n"})->UseManualTime();
  for (const std::int64_t channels : {1, 2, 10, 100, 1'000}) b->Args({channels, 20'000});
}
void workers(benchmark::internal::Benchmark* b) {
  b->ArgName("w")->UseManualTime();
  for (std::int64_t w = 1; w <= 64; w *= 2) b->Arg(w);
}
BENCHMARK(selecting<select_all_ready>)->Name("growth/select_all_ready")->Apply(over);
BENCHMARK(selecting<select_one_ready>)->Name("growth/select_one_ready")->Apply(over);
BENCHMARK(timed_wait)->Name("growth/timed_wait")->ArgName("n")->UseManualTime()->Apply([](auto* b) {
  for (std::int64_t n = 1; n <= 1'000'000; n *= 10) b->Arg(n);
});
BENCHMARK(yield_on)->Name("growth/yield_on")->Apply(workers);
BENCHMARK(ping_pong_on)->Name("growth/ping_pong_on")->Apply(workers);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
