// An operation of the emulated ring from its submission to its last completion, and the collections that
// hold those in flight. All but the fields named below belong to the ring's own thread.
#pragma once


#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "uring_compat.h"

namespace sunstar {

class OperationList;

struct Operation {
  enum class State : uint8_t {
    kIdle,     // not started, or not in anybody's hands
    kWaiting,  // for its descriptor
    kTiming,   // for its deadline
    kBlocking, // with the pool: queued there, or running
  };

  io_uring_sqe entry;
  State state;
  bool is_indexed;
  bool is_counted;          // among its descriptor's calls in the pool
  bool is_begun;            // a connect that waits for its outcome
  bool is_tcp;              // a receive from TCP: a short one has emptied the socket
  bool is_stream;           // a receive from a stream, which tells how much there is
  bool is_short;            // moved less than all, and was to wait for all (MSG_WAITALL)
  uint32_t name_length;     // of a multishot RECVMSG: what its header asked for
  uint32_t control_length;
  int32_t result;
  uint64_t done;            // bytes moved so far
  int64_t deadline_ns;
  size_t heap_at;
  Operation* link;          // starts when this one has ended
  Operation* linked_from;   // of a link timeout: whom it cancels
  char* storage;            // copies of what the submitter may change once it is submitted
  OperationList* list;
  Operation* next;
  Operation* previous;
  Operation* index_next;
  Operation* index_previous;

  uint8_t opcode() const { return entry.opcode; }
  bool has(uint8_t sqe_flag) const { return (entry.flags & sqe_flag) != 0; }
  void* address() const { return reinterpret_cast<void*>(entry.addr); }
  void* second_address() const { return reinterpret_cast<void*>(entry.addr2); }
};

// First in, first out; an operation is in one list at most and can be taken out of the middle.
class OperationList {
 public:
  bool IsEmpty() const { return head_ == nullptr; }
  Operation* First() const { return head_; }

  void Push(Operation* operation) {
    operation->list = this;
    operation->next = nullptr;
    operation->previous = tail_;
    (tail_ == nullptr ? head_ : tail_->next) = operation;
    tail_ = operation;
  }

  Operation* Shift() {
    Operation* first = head_;
    if (first != nullptr) Remove(first);
    return first;
  }

  void Remove(Operation* operation) {
    (operation->previous == nullptr ? head_ : operation->previous->next) = operation->next;
    (operation->next == nullptr ? tail_ : operation->next->previous) = operation->previous;
    operation->list = nullptr;
  }

 private:
  Operation* head_ = nullptr;
  Operation* tail_ = nullptr;
};

// Operations in flight by their user data: whom a cancel is for.
class OperationIndex {
 public:
  OperationIndex() : buckets_(kInitialBuckets, nullptr) {}

  size_t size() const { return size_; }

  void Add(Operation* operation) {
    if (size_ == buckets_.size()) Grow();
    operation->is_indexed = true;
    Insert(operation);
    size_++;
  }

  void Remove(Operation* operation) {
    if (!operation->is_indexed) return;
    operation->is_indexed = false;
    Operation*& bucket = Bucket(operation->entry.user_data);
    (operation->index_previous == nullptr ? bucket : operation->index_previous->index_next) = operation->index_next;
    if (operation->index_next != nullptr) operation->index_next->index_previous = operation->index_previous;
    size_--;
  }

  Operation* Find(uint64_t user_data) const {
    Operation* found = buckets_[user_data & (buckets_.size() - 1)];
    while (found != nullptr && found->entry.user_data != user_data) found = found->index_next;
    return found;
  }

  std::vector<Operation*> All() const {
    std::vector<Operation*> all;
    all.reserve(size_);
    for (Operation* first : buckets_) {
      for (Operation* one = first; one != nullptr; one = one->index_next) all.push_back(one);
    }
    return all;
  }

 private:
  static constexpr size_t kInitialBuckets = 1024;

  // The lower half of the user data is the submitter's small integer.
  Operation*& Bucket(uint64_t user_data) { return buckets_[user_data & (buckets_.size() - 1)]; }

  void Insert(Operation* operation) {
    Operation*& bucket = Bucket(operation->entry.user_data);
    operation->index_previous = nullptr;
    operation->index_next = bucket;
    if (bucket != nullptr) bucket->index_previous = operation;
    bucket = operation;
  }

  void Grow() {
    const std::vector<Operation*> all = All();
    buckets_.assign(buckets_.size() * 2, nullptr);
    for (Operation* operation : all) Insert(operation);
  }

  std::vector<Operation*> buckets_;
  size_t size_ = 0;
};

// Operations are used again: none is allocated in a steady state.
class OperationPool {
 public:
  ~OperationPool() {
    for (Operation* slab : slabs_) free(slab);
  }

  Operation* Take(const io_uring_sqe& entry) {
    if (free_ == nullptr) Grow();
    Operation* operation = free_;
    free_ = operation->next;
    *operation = Operation{};
    operation->entry = entry;
    return operation;
  }

  void GiveBack(Operation* operation) {
    if (operation->storage != nullptr) free(operation->storage);
    operation->storage = nullptr;
    operation->next = free_;
    free_ = operation;
  }

 private:
  static constexpr size_t kSlab = 256;

  void Grow() {
    auto* slab = static_cast<Operation*>(calloc(kSlab, sizeof(Operation)));
    if (slab == nullptr) abort();
    slabs_.push_back(slab);
    for (size_t i = 0; i < kSlab; i++) {
      slab[i].next = free_;
      free_ = &slab[i];
    }
  }

  Operation* free_ = nullptr;
  std::vector<Operation*> slabs_;
};

}  // namespace sunstar
