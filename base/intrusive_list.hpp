// SPDX-License-Identifier: BSL-1.0
// intrusive_list: a doubly linked list whose links lie in the members; it owns and allocates
//   nothing. Not synchronised.
#pragma once

namespace heddle::detail {

/// A member's links. Linked in one list at most.
struct list_hook {
  list_hook* next = nullptr;
  list_hook* prev = nullptr;

  bool linked() const noexcept { return next != nullptr; }
  void unlink() noexcept {
    prev->next = next;
    next->prev = prev;
    next = prev = nullptr;
  }
};

/// First in, first out; T derives from list_hook.
template <class T>
class intrusive_list {
 public:
  constexpr intrusive_list() noexcept { root_.next = root_.prev = &root_; }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;

  bool empty() const noexcept { return root_.next == &root_; }
  T* front() noexcept { return empty() ? nullptr : static_cast<T*>(root_.next); }
  T* back() noexcept { return empty() ? nullptr : static_cast<T*>(root_.prev); }
  void push_back(T& member) noexcept { insert_before(root_, member); }
  void push_front(T& member) noexcept { insert_before(*root_.next, member); }
  T* pop_front() noexcept {
    T* first = front();
    if (first != nullptr) first->unlink();
    return first;
  }
  /// Calls `visit(member)` with each, in order.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (list_hook* at = root_.next; at != &root_; at = at->next) visit(static_cast<T&>(*at));
  }
  /// Moves all of `other` to the end of this one.
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty()) return;
    list_hook* first = other.root_.next;
    list_hook* last = other.root_.prev;
    first->prev = root_.prev;
    root_.prev->next = first;
    last->next = &root_;
    root_.prev = last;
    other.root_.next = other.root_.prev = &other.root_;
  }

 private:
  static void insert_before(list_hook& place, list_hook& member) noexcept {
    member.next = &place;
    member.prev = place.prev;
    place.prev->next = &member;
    place.prev = &member;
  }

  list_hook root_;
};

}  // namespace heddle::detail
