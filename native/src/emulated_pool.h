// The threads of an emulated ring that make the calls that block: on files above all.
//
// Its own and not libuv's: those threads are shared with all of Node's files and name lookups, their
// number is fixed before any ring exists, and what they finish reaches a thread only through libuv's
// callbacks, past the owned wait.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "emulated_operation.h"

namespace sunstar {

class BlockingPool {
 public:
  // Threads are started when there is work for them, and end with the pool.
  static constexpr size_t kMaxThreads = 16;

  using Call = int32_t (*)(const Operation& operation);
  using Wake = void (*)(void* owner);

  // `wake` is called on a pool's thread after something has ended.
  BlockingPool(Call call, Wake wake, void* owner) : call_(call), wake_(wake), owner_(owner) {}

  // Has `call` made on one of the threads; where the process may not have any, right here.
  void Submit(Operation* operation);
  // Takes back what no thread has begun; false when one has, which is then interrupted if that is possible.
  bool Cancel(Operation* operation);
  bool HasEnded() const { return ended_.load(std::memory_order_acquire) != nullptr; }
  // What has ended, chained by `next`, the first to end first.
  Operation* TakeEnded();
  // Ends the threads; nothing may be queued or running.
  void Stop();

 private:
  struct Thread {
    pthread_t id;
    Operation* running = nullptr;
    bool is_cancelled = false;
  };

  struct Start {
    BlockingPool* pool;
    Thread* thread;
  };

  static void* Main(void* start);
  void Run(Thread* self);
  bool StartThread();
  void End(Operation* operation);

  const Call call_;
  const Wake wake_;
  void* const owner_;
  std::mutex mutex_;
  std::condition_variable work_;
  OperationList queue_;
  std::vector<Thread*> threads_;
  size_t idle_ = 0;
  size_t queued_ = 0;
  bool is_stopping_ = false;
  std::atomic<Operation*> ended_{nullptr};
};

}  // namespace sunstar
