// SPDX-License-Identifier: BSL-1.0
// symbols: from an address in the code to function, file and line. By libbacktrace, which comes
// with
//   g++; without it, or without debug information, by the dynamic linker's tables: a function's
//   name, or module and offset.
//   Any thread may call; allocates.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace heddle::detail {

/// Whose function it is: heddle's, the standard library's, the program's.
enum class owner { ours, std, theirs };

/// A function at an address; several, where some are inlined into others.
struct code_line {
  std::string function;  // demangled
  std::string file;      // empty: not known
  int line = 0;
  owner whose = owner::theirs;
};

/// Looks each address up once.
class symbols {
 public:
  /// What is at a return address, the innermost inlined function first; never empty.
  const std::vector<code_line>& before(const void* return_address);
  /// Of these the innermost that is the program's; if none is, the outermost.
  const code_line& theirs_before(const void* return_address);

 private:
  std::unordered_map<const void*, std::vector<code_line>> known_;
};

/// As a report tells it: `name (file:line)`.
std::string to_text(const code_line& where);
/// The name alone, without template arguments, parameters and return type.
std::string short_name(const code_line& where);

}  // namespace heddle::detail
