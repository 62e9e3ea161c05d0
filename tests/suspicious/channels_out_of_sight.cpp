// SPDX-License-Identifier: BSL-1.0
// channels_out_of_sight: fibers that wait at channels which others can reach, but by no word on a
// stack of heddle's, or on the heap.
//   Silent
//   Not with: ThreadSanitizer, AddressSanitizer, which do not know, or like, swapcontext
//   Ends: 0
#include <heddle/heddle.hpp>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <new>

using namespace std::chrono_literals;

using call = heddle::channel<int>;

constexpr auto quiet = 1s;
constexpr std::size_t page = 4096;

/// On the stack of a blocking() call, which waits itself.
void in_a_job(heddle::wait_group& waiting) {
  call over;
  waiting.go([over] {
    heddle::this_fiber::sleep_for(quiet);
    over.close();
  });
  waiting.go([over, &waiting] {
    heddle::blocking([&over, &waiting] {
      const call own;
      waiting.go([own] { (void)own.receive(); });
      (void)over.receive();
      own.close();
    });
  });
}

/// In memory that cannot be written to, or not even read, meanwhile.
void in_locked_memory(heddle::wait_group& waiting, int allowed) {
  waiting.go([&waiting, allowed] {
    void* const at =
        ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    call* const own = ::new (at) call;
    waiting.go([at = *own] { (void)at.receive(); });
    ::mprotect(at, page, allowed);
    heddle::this_fiber::sleep_for(quiet);
    ::mprotect(at, page, PROT_READ | PROT_WRITE);
    own->close();
    std::destroy_at(own);
    ::munmap(at, page);
  });
}

/// In what epoll tells when a descriptor is ready.
void in_epoll(heddle::wait_group& waiting) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC), ready = ::eventfd(0, EFD_CLOEXEC);
  waiting.go([poll, ready] {
    const call own;
    epoll_event when{};
    when.events = EPOLLIN;
    when.data.ptr = const_cast<call*>(&own);
    ::epoll_ctl(poll, EPOLL_CTL_ADD, ready, &when);
    when.data.ptr = nullptr;
    (void)own.receive();
  });
  waiting.go([poll, ready] {
    epoll_event what{};
    while (::epoll_wait(poll, &what, 1, 0) == 0) {
      heddle::this_fiber::sleep_for(quiet);
      (void)::eventfd_write(ready, 1);
    }
    static_cast<call*>(what.data.ptr)->close();
    ::close(poll);
    ::close(ready);
  });
}

/// In the fiber's own stack, while it waits on another one.
void beside_another_stack(heddle::wait_group& waiting) {
  waiting.go([&waiting] {
    const call own;
    waiting.go([own] { (void)own.receive(); });
    static ucontext_t here, there;
    const auto stack = std::make_unique<std::byte[]>(64 * 1024);
    ::getcontext(&there);
    there.uc_stack.ss_sp = stack.get();
    there.uc_stack.ss_size = 64 * 1024;
    there.uc_link = &here;
    ::makecontext(
        &there, [] { heddle::this_fiber::sleep_for(quiet); }, 0);
    ::swapcontext(&here, &there);
    own.close();
  });
}

/// In a pipe.
void in_a_pipe(heddle::wait_group& waiting) {
  waiting.go([&waiting] {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    waiting.go([ends] {
      const call own;
      const call* at = &own;
      (void)!::write(ends[1], &at, sizeof at);
      at = nullptr;
      (void)own.receive();
    });
    heddle::this_fiber::sleep_for(quiet);
    const call* at = nullptr;
    (void)!::read(ends[0], &at, sizeof at);
    at->close();
    ::close(ends[0]);
    ::close(ends[1]);
  });
}

int main() {
  heddle::run({.workers = 2}, [] {
    heddle::wait_group waiting;
    in_a_job(waiting);
    in_locked_memory(waiting, PROT_READ);
    in_locked_memory(waiting, PROT_NONE);
    in_epoll(waiting);
    waiting.wait();
    beside_another_stack(waiting);
    waiting.wait();
    in_a_pipe(waiting);
    waiting.wait();
  });
  return 0;
}
