// SPDX-License-Identifier: BSL-1.0
// symbols: asking libbacktrace, and the dynamic linker.
#include <heddle/debug/symbols.hpp>
#include <heddle/sched/overflow.hpp>

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>

#if defined(HEDDLE_LIBBACKTRACE)
// <backtrace.h> lies in a folder of g++'s own, where clang++ does not look.
extern "C" {
struct backtrace_state;
using backtrace_error_callback = void(void*, const char*, int);
using backtrace_full_callback = int(void*, std::uintptr_t, const char*, int, const char*);
using backtrace_syminfo_callback = void(void*, std::uintptr_t, const char*, std::uintptr_t,
                                        std::uintptr_t);
backtrace_state* backtrace_create_state(const char*, int, backtrace_error_callback*, void*);
int backtrace_pcinfo(backtrace_state*, std::uintptr_t, backtrace_full_callback*,
                     backtrace_error_callback*, void*);
int backtrace_syminfo(backtrace_state*, std::uintptr_t, backtrace_syminfo_callback*,
                      backtrace_error_callback*, void*);
}
#endif

namespace heddle::detail {

namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : name;
}

/// Whether a path is that of a header of ours.
bool is_our_header(std::string_view file) {
  for (const char* room : {"base", "fiber", "sched", "sync", "io", "debug"}) {
    const std::string part = std::string("/heddle/") + room + "/";
    if (file.find(part) != std::string_view::npos) return true;
  }
  return false;
}

/// By its name, mangled (Itanium C++ ABI, 5.1) or plain; of an inlined function g++ tells no more
/// than the last part of it, so also by its file.
owner owner_of(std::string_view name, std::string_view file) {
  if (is_our_header(file) || name == "heddle_fiber_entry") return owner::ours;
  if (file.find("/c++/") != std::string_view::npos) return owner::std;
  if (name.find("__gthread_") != std::string_view::npos) return owner::std;  // below libstdc++'s
  // Below main(), and a thread's function.
  if (name.starts_with("__libc_start")) return owner::std;
  for (const char* below : {"_start", "start_thread", "clone", "clone3", "__clone3",
                            "__call_tls_dtors", "execute_native_thread_routine"}) {
    if (name == below) return owner::std;
  }
  if (!name.starts_with("_Z")) return owner::theirs;
  // Z: local to a function, whose name follows; N: nested; K and so on: qualifiers.
  name.remove_prefix(std::min(name.find_first_not_of("ZNKVRO", 2), name.size()));
  return name.starts_with("6heddle") ? owner::ours
         : name.starts_with("S")     ? owner::std
                                     : owner::theirs;
}

/// Where it is in its module.
void write_offset(const Dl_info& module, const void* address, char* out,
                  std::size_t size) noexcept {
  const char* slash = std::strrchr(module.dli_fname, '/');
  std::snprintf(out, size, "%s+0x%zx", slash != nullptr ? slash + 1 : module.dli_fname,
                static_cast<std::size_t>(static_cast<const char*>(address) -
                                         static_cast<const char*>(module.dli_fbase)));
}

/// From the dynamic linker: a name, or where it is in which module.
code_line from_linker(const void* address) {
  code_line found;
  Dl_info info{};
  if (::dladdr(address, &info) == 0) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    found.function = text;
  } else if (info.dli_sname != nullptr) {
    found.function = demangled(info.dli_sname);
    found.whose = owner_of(info.dli_sname, {});
  } else {
    char text[256];
    write_offset(info, address, text, sizeof text);
    found.function = text;
    if (found.function.starts_with("libstdc++")) found.whose = owner::std;
  }
  return found;
}

#if defined(HEDDLE_LIBBACKTRACE)

// os-lock: one at a time, so that ThreadSanitizer sees an order in what is not compiled with it. It
// is held over reads of files, and over no switch.
constinit std::mutex one_at_a_time;

backtrace_state* state() {
  // Kept for ever: there is no way to free it.
  static backtrace_state* const made = backtrace_create_state(
      nullptr, 0, [](void*, const char*, int) {}, nullptr);
  return made;
}

struct query {
  std::vector<code_line> lines;
  std::string symbol;  // mangled
};

int add_line(void* q, std::uintptr_t, const char* file, int line, const char* function) {
  if (function == nullptr && file == nullptr) return 0;
  code_line& found = static_cast<query*>(q)->lines.emplace_back();
  found.function = function != nullptr ? function : "?";
  if (file != nullptr) {
    found.file = file;
    found.line = line;
  }
  return 0;
}

void set_symbol(void* q, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
  if (name != nullptr) static_cast<query*>(q)->symbol = name;
}

std::vector<code_line> look_up(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto no_error = [](void*, const char*, int) {};
  query q;
  const std::lock_guard hold(one_at_a_time);
  if (state() == nullptr) return {from_linker(address)};
  backtrace_pcinfo(state(), at, &add_line, no_error, &q);
  backtrace_syminfo(state(), at, &set_symbol, no_error, &q);
  if (q.lines.empty()) {
    if (q.symbol.empty()) return {from_linker(address)};
    q.lines.emplace_back();
  }
  // The debug information names the outermost without its namespace, and some not at all.
  if (!q.symbol.empty()) q.lines.back().function = q.symbol;
  // What a function of ours that is no template has inlined is ours too.
  const code_line& outermost = q.lines.back();
  const bool all_ours = owner_of(outermost.function, outermost.file) == owner::ours &&
                        outermost.function.find('I') == std::string::npos;
  for (code_line& each : q.lines) {
    each.whose = all_ours ? owner::ours : owner_of(each.function, each.file);
    each.function = demangled(each.function.c_str());
  }
  return std::move(q.lines);
}

#else

std::vector<code_line> look_up(const void* address) { return {from_linker(address)}; }

#endif

}  // namespace

const std::vector<code_line>& symbols::before(const void* return_address) {
  std::vector<code_line>& known = known_[return_address];
  // One byte before it is the call.
  if (known.empty()) known = look_up(static_cast<const char*>(return_address) - 1);
  return known;
}

const code_line& symbols::theirs_before(const void* return_address) {
  const std::vector<code_line>& lines = before(return_address);
  const auto theirs = std::find_if(lines.begin(), lines.end(),
                                   [](const code_line& l) { return l.whose == owner::theirs; });
  return theirs != lines.end() ? *theirs : lines.back();
}

namespace {

/// Writes a mangled function's qualified name, where it is as simple as most are (Itanium C++ ABI,
/// 5.1: <source-name>s, nested or not, L before what is static); else as it is. Allocates nothing.
void write_simple_name(const char* mangled, char* out, std::size_t size) noexcept {
  std::snprintf(out, size, "%s", mangled);
  if (std::strncmp(mangled, "_Z", 2) != 0) return;
  const char* at = mangled + 2;
  const bool nested = *at == 'N';
  if (nested) ++at;
  if (nested && *at == 'K') ++at;
  std::string_view parts[16];
  std::size_t count = 0;
  do {
    if (*at == 'L') ++at;
    if (*at < '1' || *at > '9') break;
    char* name = nullptr;
    const auto length = std::strtoul(at, &name, 10);
    if (std::strlen(name) < length) return;
    const std::string_view part(name, length);
    parts[count++] = part == "_GLOBAL__N_1" ? "(anonymous namespace)" : part;
    at = name + length;
  } while (nested && count < 16);
  if (count == 0 || (nested && *at != 'E')) return;
  std::size_t used = 0;
  for (std::size_t i = 0; i < count && used < size; ++i) {
    const int n = std::snprintf(out + used, size - used, "%s%.*s", i > 0 ? "::" : "",
                                static_cast<int>(parts[i].size()), parts[i].data());
    used += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
}

/// What is kept for ever, so that it can be referred to; null: not known.
struct code_place {
  const char* function = nullptr;
  const char* file = nullptr;
  int line = 0;
};

code_place place_of([[maybe_unused]] const void* address) noexcept {
  code_place found;
#if defined(HEDDLE_LIBBACKTRACE)
  if (!one_at_a_time.try_lock()) return found;
  if (state() != nullptr) {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    const auto no_error = [](void*, const char*, int) {};
    backtrace_pcinfo(
        state(), at,
        [](void* x, std::uintptr_t, const char* file, int line, const char* function) {
          if (function == nullptr && file == nullptr) return 0;
          *static_cast<code_place*>(x) = {function, file, line};
          return 1;
        },
        no_error, &found);
    // With -g1 clang++ tells the lines, but of no function that nothing was inlined into.
    if (found.function == nullptr) {
      backtrace_syminfo(
          state(), at,
          [](void* x, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
            static_cast<code_place*>(x)->function = name;
          },
          no_error, &found);
    }
  }
  one_at_a_time.unlock();
#endif
  return found;
}

}  // namespace

void write_place(const void* return_address, char* out, std::size_t size) noexcept {
  const void* const address = static_cast<const char*>(return_address) - 1;
  code_place found = place_of(address);
  Dl_info info{};
  const bool is_loaded = found.function != nullptr || ::dladdr(address, &info) != 0;
  if (found.function == nullptr) found.function = info.dli_sname;
  char name[120];
  if (found.function != nullptr) {
    write_simple_name(found.function, name, sizeof name);
  } else if (is_loaded) {
    write_offset(info, address, name, sizeof name);
  } else {
    std::snprintf(name, sizeof name, "%p", address);
  }
  if (found.file != nullptr) {
    std::snprintf(out, size, "%s (%s:%d)", name, found.file, found.line);
  } else {
    std::snprintf(out, size, "%s", name);
  }
}

std::string to_text(const code_line& where) {
  if (where.file.empty()) return where.function;
  return where.function + " (" + where.file + ":" + std::to_string(where.line) + ")";
}

std::string short_name(const code_line& where) {
  std::string_view function = where.function;
  constexpr std::string_view deduced = "decltype(auto) ";
  if (function.starts_with(deduced)) function.remove_prefix(deduced.size());
  std::string name;
  int depth = 0;
  for (const char c : function) {
    if (c == '<') ++depth;
    if (depth == 0 && c == '(') break;
    if (depth == 0) name += c;
    if (c == '>' && depth > 0) --depth;
  }
  return name.substr(name.rfind(' ') + 1);
}

}  // namespace heddle::detail
