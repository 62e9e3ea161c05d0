// SPDX-License-Identifier: BSL-1.0
// no_migrate: keeps a fiber on its worker, for code that holds on to thread-locals.
#pragma once

namespace heddle {

/// While one is alive, the calling fiber runs on the OS thread that it is on now, whatever it waits
/// for. If that thread is stuck in another fiber, this one waits. Nests; destroyed by the fiber
/// that made it. From a plain thread it does nothing.
class no_migrate {
 public:
  no_migrate() noexcept;
  ~no_migrate();
  no_migrate(const no_migrate&) = delete;
  no_migrate& operator=(const no_migrate&) = delete;
};

}  // namespace heddle
