// SPDX-License-Identifier: BSL-1.0
// in_child: a measurement in a process of its own, for what a process keeps once it has had it:
// peak memory, page tables, mappings. The benchmark starts its own program again as
// `PROGRAM --in-child CASE NUMBER...`; the child measures once and prints `name value` lines.
//   I1  a child ends with its parent.
//   I2  a child that fails, or prints no `seconds`, skips the case with a message.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

using figures = std::map<std::string, double>;  // `seconds` is the time of the iteration
using child_case = std::function<figures(const std::vector<std::int64_t>&)>;

// Registers a benchmark whose iterations each run `body` in a child, once per argument list.
void register_in_child(const std::string& name, const std::vector<std::string>& argument_names,
                       const std::vector<std::vector<std::int64_t>>& arguments, child_case body);

// main() of a program of such benchmarks.
int child_main(int argc, char** argv);

}  // namespace bench
