// SPDX-License-Identifier: BSL-1.0
// asymmetric_fence: the heavy half, by membarrier(2).
#include <heddle/base/assert.hpp>
#include <heddle/base/asymmetric_fence.hpp>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace heddle::detail {

constinit bool fences_are_asymmetric = false;

namespace {
int membarrier(int command) noexcept {
  const int saved = errno;
  const auto result = ::syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return static_cast<int>(result);
}
}  // namespace

void prepare_asymmetric_fences() noexcept {
  [[maybe_unused]] static const bool once = [] {
    const int commands = membarrier(MEMBARRIER_CMD_QUERY);
    if (commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
        membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0) {
      fences_are_asymmetric = true;
    }
    return true;
  }();
}

void heavy_fence() noexcept {
  full_fence();
  if (fences_are_asymmetric) {
    const int result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    HEDDLE_CHECK(result == 0, "membarrier failed after the kernel had granted it");
    full_fence();
  }
}

}  // namespace heddle::detail
