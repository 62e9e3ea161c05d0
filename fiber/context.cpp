// SPDX-License-Identifier: BSL-1.0
// context: the C++ runtime's exception record of a thread.
#include <heddle/fiber/context.hpp>

#include <cxxabi.h>

namespace heddle::detail {

exception_state* thread_exception_state() noexcept {
  return reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

}  // namespace heddle::detail
