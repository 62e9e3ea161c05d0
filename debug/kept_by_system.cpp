// SPDX-License-Identifier: BSL-1.0
// kept_by_system: what /proc tells of the descriptors.
#include <heddle/debug/kept_by_system.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::detail {

namespace {

bool has_unread(int descriptor) noexcept {
  int bytes = 0;
  return ::ioctl(descriptor, FIONREAD, &bytes) == 0 && bytes > 0;
}

bool is_local(int socket) noexcept {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

// False: it cannot be read.
bool visit_epoll(const char* number, const std::function<void(std::uintptr_t)>& visit) {
  const std::string path = std::string("/proc/self/fdinfo/") + number;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> info(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (!info) return false;
  char line[256];
  while (std::fgets(line, sizeof line, info.get()) != nullptr) {
    std::uint64_t data = 0;
    if (std::sscanf(line, "tfd: %*d events: %*x data: %" SCNx64, &data) == 1)
      visit(static_cast<std::uintptr_t>(data));
  }
  return true;
}

}  // namespace

bool visit_words_kept_by_system(const std::function<void(std::uintptr_t)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> all(::opendir("/proc/self/fd"), &::closedir);
  if (!all) return false;
  std::vector<std::string> written_to, unread;  // pipes
  while (const dirent* each = ::readdir(all.get())) {
    char text[PATH_MAX];
    const ssize_t length = ::readlinkat(::dirfd(all.get()), each->d_name, text, sizeof text);
    if (length < 0) continue;
    const std::string_view what(text, static_cast<std::size_t>(length));
    const int descriptor = std::atoi(each->d_name);
    if (what == "anon_inode:[eventpoll]") {
      if (!visit_epoll(each->d_name, visit)) return false;
    } else if (what == "anon_inode:[io_uring]" || what == "anon_inode:[userfaultfd]") {
      return false;
    } else if (what.starts_with("socket:")) {
      if (has_unread(descriptor) && is_local(descriptor)) return false;
    } else if (what.starts_with("pipe:")) {
      const int mode = ::fcntl(descriptor, F_GETFL) & O_ACCMODE;
      if (mode != O_RDONLY) written_to.emplace_back(what);
      if (mode != O_WRONLY && has_unread(descriptor)) unread.emplace_back(what);
    }
  }
  return std::none_of(unread.begin(), unread.end(), [&](const std::string& pipe) {
    return std::find(written_to.begin(), written_to.end(), pipe) != written_to.end();
  });
}

}  // namespace heddle::detail
