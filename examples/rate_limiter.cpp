// SPDX-License-Identifier: BSL-1.0
// rate_limiter: however much its clients want, a service gets at most a hundred requests a second.
//
// A ticker hands out the permits, and a request waits for one. If the clients slept between their
// requests instead, each would have to know how many others there are, and would add the time of
// the request itself to every pause.

#include <heddle/heddle.hpp>

#include <chrono>
#include <iostream>
#include <string_view>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: rate_limiter [--help]\nServes the requests of four clients, a hundred a second.\n";

constexpr auto interval = 10ms;
constexpr int clients = 4;
constexpr int requests_each = 10;

class rate_limiter {
 public:
  // A permit comes every `gap`. One that nobody waits for is kept for who comes next, but only one:
  // after a quiet hour there is no burst.
  explicit rate_limiter(heddle::clock::duration gap) : ticker_(gap) {}

  // Waits for a permit; those who wait get theirs in the order they came. False: there are no more,
  // for the runtime is ending.
  [[nodiscard]] bool wait() { return ticker_.channel().receive().has_value(); }

 private:
  heddle::ticker ticker_;
};

// Lets all clients make their requests as fast as they may; returns how long that took.
heddle::clock::duration serve() {
  const heddle::clock::time_point start = heddle::clock::now();
  rate_limiter limiter(interval);
  heddle::task_group group;
  for (int client = 0; client < clients; ++client) {
    group.spawn([&] {
      for (int i = 0; i < requests_each && limiter.wait(); ++i) {
        heddle::this_fiber::sleep_for(3 * interval);  // the request; meanwhile others are made
      }
    });
  }
  group.wait();
  return heddle::clock::now() - start;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "rate_limiter: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(heddle::run(serve));
  constexpr int requests = clients * requests_each;
  std::cout << requests << " requests in " << took.count()
            << " ms: " << requests * 1000 / took.count() << " a second, of at most "
            << 1s / interval << std::endl;
  return std::cout && took >= requests * interval ? 0 : 1;
}
