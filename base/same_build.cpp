// SPDX-License-Identifier: BSL-1.0
// same_build: how this library was built.
#include <heddle/base/same_build.hpp>

namespace heddle::detail {

const char HEDDLE_BUILT_FOR_ASSERTIONS_ = 0;
const char HEDDLE_BUILT_FOR_SANITIZER_ = 0;

}  // namespace heddle::detail
