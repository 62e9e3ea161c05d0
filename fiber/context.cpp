// SPDX-License-Identifier: BSL-1.0
// context: where a thread keeps what must travel.
#include <heddle/fiber/context.hpp>

#include <cxxabi.h>

#include <cerrno>

namespace heddle::detail {

thread_words words_of_this_thread() noexcept {
  return {reinterpret_cast<exception_state*>(abi::__cxa_get_globals()), &errno, 0};
}

}  // namespace heddle::detail
