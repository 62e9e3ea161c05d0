// SPDX-License-Identifier: BSL-1.0
// stop: a fiber's stop state. The request is a flag in the record; a std::stop_source is made when
//   somebody first asks for one.
#pragma once

#include <heddle/fiber/record.hpp>

#include <stop_token>

namespace heddle::detail {

/// As std::stop_source::request_stop: true for the call that requested first. Runs callbacks.
bool request_stop(fiber_record& r) noexcept;

/// The fiber's source; one without a state if there is no memory for it.
std::stop_source stop_source_of(fiber_record& r) noexcept;

}  // namespace heddle::detail
