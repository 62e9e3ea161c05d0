// SPDX-License-Identifier: BSL-1.0
// prime_sieve: the concurrent sieve that Go is famous for. It prints the first prime numbers.
//
//     generate ──2,3,4…──▶ filter 2 ──3,5,7…──▶ filter 3 ──5,7,11…──▶ filter 5 ──▶ …
//
// Each prime that is found adds a fiber to the chain, which lets pass only what it does not divide.
// What comes out at the end of the chain is the next prime.

#include <heddle/heddle.hpp>

#include <charconv>
#include <iostream>
#include <string_view>

constexpr std::string_view usage =
    "usage: prime_sieve [--help] [COUNT]\n"
    "Prints the first COUNT prime numbers, 25 unless told, found by a chain of fibers.\n";

// A sender and a receiver are the two halves of a channel: the type says who may do what.
void generate(heddle::sender<unsigned> out) {
  for (unsigned n = 2;; ++n) out.send(n);
}

void filter(heddle::receiver<unsigned> in, heddle::sender<unsigned> out, unsigned prime) {
  for (const unsigned n : in)
    if (n % prime != 0) out.send(n);
}

void sieve(unsigned count) {
  heddle::channel<unsigned> last;  // the end of the chain so far
  heddle::go(generate, last);
  for (unsigned found = 0; found < count; ++found) {
    const unsigned prime = last.receive().value();
    std::cout << prime << '\n';
    heddle::channel<unsigned> next;
    heddle::go(filter, last, next, prime);
    last = next;
  }
  // The generator and the filters would go on for ever. There is no need to stop them one by one:
  // when run() ends it cancels what is still alive, and their send() and receive() throw.
}

int main(int argc, char** argv) {
  unsigned count = 25;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--help") {
      std::cout << usage;
      return 0;
    }
    const char* const end = arg.data() + arg.size();
    const auto parsed = std::from_chars(arg.data(), end, count);
    if (i > 1 || parsed.ec != std::errc{} || parsed.ptr != end || count == 0) {
      std::cerr << "prime_sieve: '" << arg << "' is not one count of primes\n" << usage;
      return 2;
    }
  }

  heddle::run(sieve, count);
  return std::cout.flush() ? 0 : 1;
}
