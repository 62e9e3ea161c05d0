// SPDX-License-Identifier: BSL-1.0
// random: small, fast, seeded random numbers for scheduling choices (xorshift64*; Vigna, "An
//   experimental exploration of Marsaglia's xorshift generators, scrambled", 2016). Not for
//   secrets.
#pragma once

#include <cstdint>

namespace heddle::detail {

class random_source {
 public:
  explicit random_source(std::uint64_t seed) noexcept
      : state_(seed * 0x9E3779B97F4A7C15u | 1) {}  // any odd state is a good one

  std::uint32_t next() noexcept {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::uint32_t>((state_ * 0x2545F4914F6CDD1Du) >> 32);
  }
  /// Uniform in [0, bound), bound > 0 (Lemire's multiplication; its bias is below 2^-32 * bound).
  std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace heddle::detail
