// SPDX-License-Identifier: BSL-1.0
// kept_by_system: addresses that the system keeps for this process, and gives back.
#pragma once

#include <cstdint>
#include <functional>

namespace heddle::detail {

/// Calls `visit(word)` with each word that epoll keeps. False: there may be others, which cannot be
/// seen: in an io_uring, with a userfaultfd, unread in a pipe that both ends of are here, or in a
/// local socket. Throws std::bad_alloc.
bool visit_words_kept_by_system(const std::function<void(std::uintptr_t)>& visit);

}  // namespace heddle::detail
