// SPDX-License-Identifier: BSL-1.0
// rival: what the rivals in C++ share: the table of cases, the rules of measuring that README.md
// gives, and the figures as JSON. A rival's main() registers its cases and calls rival_main.
//   I1  a case ends with status 0 and figures, 3 and `needs ...`, 2 if there is no such case, or 1.
// Does not know heddle.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "known_work.hpp"
#include "machine.hpp"

namespace rival {

using bench::fibonacci;
using bench::nth_prime;
using bench::timed;
using bench::work;
using figures = std::vector<std::pair<std::string, double>>;

// One call of the program: PROGRAM CASE MIN_SECONDS.
struct call {
  std::map<std::string, std::int64_t> arguments;
  double min_seconds = 0;

  std::int64_t operator[](const std::string& argument) const { return arguments.at(argument); }
  unsigned workers() const { return static_cast<unsigned>(arguments.at("w")); }
};

using case_body = std::function<figures(const call&)>;
using pass = std::function<double()>;  // does the work once; returns the seconds that it took

// `argument_names` are those that the case must have, in any order, and no others.
void register_case(const std::string& name, std::vector<std::string> argument_names,
                   case_body body);

// Cases that this rival cannot run at all, with any arguments.
void register_lack(const std::vector<std::string>& names, const std::string& needed);

// Thrown by a body: status 3 and `needs ...`.
class needs : public std::runtime_error {
 public:
  explicit needs(const std::string& what) : std::runtime_error("needs " + what) {}
};

// Throw needs.
void require_cores(unsigned wanted);
void require_memory(std::int64_t bytes);  // of what the machine can give without swapping

// Both run `once` first unmeasured. The figures are `ns` an operation and `seconds` a pass, of the
// median pass: until the time is spent, or as many passes as said, fewer once patience_s are
// spent.
inline constexpr double patience_s = 5;
figures measure(const call& of, std::int64_t operations, const pass& once);
figures measure_times(int times, std::int64_t operations, const pass& once);

double figure(const figures& of, const std::string& name);
double peak_mib();
double percentile(std::vector<double> values, unsigned percent);

// What the compiler may not drop, or compute beforehand: as Google Benchmark's DoNotOptimize.
template <class T>
inline void keep(T& value) {
  asm volatile("" : "+m,r"(value) : : "memory");
}

// The case `scaling`: `split` returns the seconds in which so many workers did so many chunks.
figures speed_up(const call& of, double (*split)(unsigned workers, std::int64_t chunks));

// `about` is the line for --about. Returns the exit status.
int rival_main(int argc, char** argv, const std::string& about);

}  // namespace rival
