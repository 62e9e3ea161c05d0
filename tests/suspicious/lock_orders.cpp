// SPDX-License-Identifier: BSL-1.0
// lock_orders: locks are taken in different orders, but under one more lock each time; or by one
//   fiber alone; or by std::scoped_lock; or by a try; or in another life.
//   Silent
//   Ends: 0
#include <heddle/heddle.hpp>

#include <mutex>
#include <optional>

int main() {
  heddle::run([] {
    heddle::mutex gate, a, b;
    const auto both = [](heddle::mutex& first, heddle::mutex& second) {
      const std::lock_guard hold(first);
      const std::lock_guard hold_other(second);
    };
    const auto apart = [](auto f) { heddle::fiber(f).join(); };
    apart([&] {
      const std::lock_guard hold(gate);
      both(a, b);
    });
    apart([&] {
      const std::lock_guard hold(gate);
      both(b, a);
    });

    heddle::mutex c, d;
    apart([&] {
      both(c, d);
      both(d, c);
    });

    heddle::mutex e, f;
    apart([&] { const std::scoped_lock hold(e, f); });
    apart([&] { const std::scoped_lock hold(f, e); });

    heddle::mutex g, h;
    apart([&] { both(g, h); });
    apart([&] {
      const std::lock_guard hold(h);
      if (g.try_lock()) g.unlock();
    });

    std::optional<heddle::mutex> i(std::in_place), j(std::in_place);
    apart([&] { both(*i, *j); });
    i.emplace();
    j.emplace();
    apart([&] { both(*j, *i); });
  });
  return 0;
}
