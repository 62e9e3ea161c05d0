// SPDX-License-Identifier: BSL-1.0
// ping_pong: two fibers play a ball to and fro over two unbuffered channels.
//
// On an unbuffered channel the sender waits until the other side has taken the value. So every hit
// puts one fiber to sleep and wakes the other, and the time for one is what a hand-off costs.

#include <heddle/heddle.hpp>

#include <charconv>
#include <chrono>
#include <iostream>
#include <string_view>
#include <utility>

constexpr std::string_view usage =
    "usage: ping_pong [--help] [ROUNDS]\n"
    "Plays a ball to and fro between two fibers, 100000 times unless told, and prints the time.\n";

// Plays so many rounds and returns how often the ball was hit: twice a round.
unsigned long play(unsigned long rounds) {
  heddle::channel<unsigned long> ping;  // a channel is a handle: copies mean the same channel
  heddle::channel<unsigned long> pong;

  // The other player: hits each ball back until no more come. Ranging over a channel receives from
  // it until it is closed and drained.
  heddle::fiber player({.name = "pong"}, [ping, pong] {
    for (const unsigned long hits : ping) pong.send(hits + 1);
  });

  unsigned long hits = 0;
  for (unsigned long round = 0; round < rounds; ++round) {
    ping.send(hits + 1);
    hits = pong.receive().value();
  }
  ping.close();  // ends the other player's loop; its destructor joins it, as std::jthread's does
  return hits;
}

int main(int argc, char** argv) {
  unsigned long rounds = 100'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--help") {
      std::cout << usage;
      return 0;
    }
    const char* const end = arg.data() + arg.size();
    const auto parsed = std::from_chars(arg.data(), end, rounds);
    if (i > 1 || parsed.ec != std::errc{} || parsed.ptr != end || rounds == 0) {
      std::cerr << "ping_pong: '" << arg << "' is not one number of rounds\n" << usage;
      return 2;
    }
  }

  using std::chrono::steady_clock;
  const auto [hits, time] = heddle::run([rounds] {
    const auto start = steady_clock::now();
    const unsigned long total = play(rounds);
    return std::pair(total, std::chrono::nanoseconds(steady_clock::now() - start));
  });
  std::cout << hits << " hits, " << static_cast<unsigned long>(time.count()) / hits << " ns each"
            << std::endl;
  return std::cout ? 0 : 1;
}
