// Deadlines of the emulated ring: a binary heap, the earliest first.
#pragma once

#include <time.h>

#include <utility>
#include <vector>

#include "emulated_operation.h"

namespace sunstar {

inline int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

class OperationTimers {
 public:
  bool IsEmpty() const { return heap_.empty(); }
  Operation* First() const { return heap_.front(); }

  void Add(Operation* operation) {
    operation->heap_at = heap_.size();
    heap_.push_back(operation);
    Rise(operation->heap_at);
  }

  void Remove(Operation* operation) {
    const size_t at = operation->heap_at;
    Operation* last = heap_.back();
    heap_.pop_back();
    if (last == operation) return;
    Place(last, at);
    Rise(at);
    Sink(last->heap_at);
  }

 private:
  bool IsEarlier(size_t one, size_t other) const { return heap_[one]->deadline_ns < heap_[other]->deadline_ns; }

  void Place(Operation* operation, size_t at) {
    heap_[at] = operation;
    operation->heap_at = at;
  }

  void Swap(size_t one, size_t other) {
    Operation* moved = heap_[one];
    Place(heap_[other], one);
    Place(moved, other);
  }

  void Rise(size_t at) {
    for (; at > 0 && IsEarlier(at, (at - 1) / 2); at = (at - 1) / 2) Swap(at, (at - 1) / 2);
  }

  void Sink(size_t at) {
    for (;;) {
      size_t least = at;
      for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); child++) {
        if (IsEarlier(child, least)) least = child;
      }
      if (least == at) return;
      Swap(at, least);
      at = least;
    }
  }

  std::vector<Operation*> heap_;
};

}  // namespace sunstar
