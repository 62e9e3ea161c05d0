// SPDX-License-Identifier: BSL-1.0
// hello: the smallest heddle program. It starts a runtime, in it a fiber, and waits for that fiber.

#include <heddle/heddle.hpp>

#include <iostream>
#include <string_view>

constexpr std::string_view usage = "usage: hello [--help]\nSays hello from a fiber.\n";

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "hello: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  // run() starts the worker threads, calls the function in a first fiber, and gives back what that
  // returned. When run() is done, no fiber is left and the threads are gone.
  const std::string_view answer = heddle::run([]() -> std::string_view {
    // A heddle::fiber is used like a std::jthread, but it costs so little that a program may have a
    // million of them.
    heddle::fiber greeter({.name = "greeter"}, [] {
      std::cout << "hello from the fiber '" << heddle::this_fiber::name() << "'\n";
    });
    greeter.join();  // this fiber waits; the thread under it is free to run others
    return "and hello from main";
  });
  std::cout << answer << std::endl;
  return std::cout ? 0 : 1;
}
