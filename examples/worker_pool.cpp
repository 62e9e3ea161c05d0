// SPDX-License-Identifier: BSL-1.0
// worker_pool: ten slow requests, made at once by ten workers, take the time of one.
//
// The workers are first OS threads, then fibers, and the code is the same for both: whatever heddle
// offers works from a plain thread too. Threads do this job as fast; but ten of them are ten stacks
// and ten entries in the kernel's tables, while the ten fibers share the runtime's few threads.

#include <heddle/heddle.hpp>

#include <chrono>
#include <iostream>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: worker_pool [--help]\nMakes ten slow requests at once, by threads and by fibers.\n";

constexpr int pool_size = 10;

// A request to a slow service far away: nearly all of its time is waiting. In a fiber the sleep
// gives the thread to other fibers; in a plain thread it is std::this_thread::sleep_for.
int slow_square(int n) {
  heddle::this_fiber::sleep_for(200ms);
  return n * n;
}

// The pool. Workers take requests from one channel and put replies on another. `Thread` is what
// they are: std::jthread or heddle::fiber. Returns the sum of all replies.
template <class Thread>
int serve() {
  heddle::channel<int> requests;
  heddle::channel<int> replies;
  std::vector<Thread> workers;  // declared last, so joined first: they use both channels
  for (int i = 0; i < pool_size; ++i) {
    workers.emplace_back([&] {
      for (const int n : requests) replies.send(slow_square(n));
    });
  }

  for (int n = 1; n <= pool_size; ++n) requests.send(n);
  requests.close();  // the workers end when all requests are taken
  int sum = 0;
  for (int n = 1; n <= pool_size; ++n) sum += replies.receive().value();
  return sum;
}

// Prints what `work` returned, and how long it took.
template <class Work>
void report(std::string_view what, Work work) {
  const auto start = std::chrono::steady_clock::now();
  const int result = work();
  const auto time = std::chrono::steady_clock::now() - start;
  std::cout << what << ": " << result << ", after "
            << std::chrono::duration_cast<std::chrono::milliseconds>(time).count() << " ms"
            << std::endl;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "worker_pool: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  report("one request", [] { return slow_square(pool_size); });
  report("ten requests by ten threads", serve<std::jthread>);
  heddle::run([] { report("ten requests by ten fibers", serve<heddle::fiber>); });
  return std::cout ? 0 : 1;
}
