#include "emulated_pool.h"

#include <signal.h>
#include <sys/prctl.h>

#include <cerrno>

namespace sunstar {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

void DoNothing(int) {}

// A signal that nobody uses: it only has to end a system call.
int InterruptSignal() {
  static const int chosen = [] {
    for (int number = SIGRTMAX; number >= SIGRTMIN; number--) {
      struct sigaction action {};
      if (sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
      action = {};
      action.sa_handler = DoNothing;
      if (sigaction(number, &action, nullptr) == 0) return number;
    }
    return 0;
  }();
  return chosen;
}

}  // namespace

void BlockingPool::Submit(Operation* operation) {
  std::unique_lock lock(mutex_);
  if (idle_ <= queued_ && threads_.size() < kMaxThreads && !StartThread() && threads_.empty()) {
    lock.unlock();
    End(operation);
    return;
  }
  queue_.Push(operation);
  queued_++;
  lock.unlock();
  work_.notify_one();
}

bool BlockingPool::Cancel(Operation* operation) {
  const std::lock_guard lock(mutex_);
  if (operation->list == &queue_) {
    queue_.Remove(operation);
    queued_--;
    return true;
  }
  for (Thread* thread : threads_) {
    if (thread->running != operation) continue;
    thread->is_cancelled = true;
    if (InterruptSignal() != 0) pthread_kill(thread->id, InterruptSignal());
  }
  return false;
}

Operation* BlockingPool::TakeEnded() {
  Operation* last = ended_.exchange(nullptr, std::memory_order_acquire);
  Operation* first = nullptr;
  while (last != nullptr) {
    Operation* before = last->next;
    last->next = first;
    first = last;
    last = before;
  }
  return first;
}

void BlockingPool::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  work_.notify_all();
  for (Thread* thread : threads_) {
    pthread_join(thread->id, nullptr);
    delete thread;
  }
  threads_.clear();
}

bool BlockingPool::StartThread() {
  // The handler must be there before anybody can be interrupted; signals of the process are for others.
  const int interrupt = InterruptSignal();
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  if (interrupt != 0) sigdelset(&blocked, interrupt);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  auto* thread = new Thread();
  auto* start = new Start{this, thread};
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const int error = pthread_create(&thread->id, &attributes, Main, start);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    delete start;
    delete thread;
    return false;
  }
  threads_.push_back(thread);
  return true;
}

void* BlockingPool::Main(void* data) {
  auto* start = static_cast<Start*>(data);
  BlockingPool* pool = start->pool;
  Thread* self = start->thread;
  delete start;
  prctl(PR_SET_NAME, "sunstar-files");
  pool->Run(self);
  return nullptr;
}

void BlockingPool::Run(Thread* self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_++;
    while (queue_.IsEmpty() && !is_stopping_) work_.wait(lock);
    idle_--;
    Operation* operation = queue_.Shift();
    if (operation == nullptr) return;
    queued_--;
    self->running = operation;
    self->is_cancelled = false;
    for (;;) {
      lock.unlock();
      operation->result = call_(*operation);
      lock.lock();
      if (operation->result != -EINTR) break;
      if (!self->is_cancelled) continue;
      operation->result = -ECANCELED;
      break;
    }
    self->running = nullptr;
    lock.unlock();
    Operation* before = ended_.load(std::memory_order_relaxed);
    do {
      operation->next = before;
    } while (!ended_.compare_exchange_weak(before, operation, std::memory_order_seq_cst, std::memory_order_relaxed));
    wake_(owner_);
    lock.lock();
  }
}

// Without threads.
void BlockingPool::End(Operation* operation) {
  do {
    operation->result = call_(*operation);
  } while (operation->result == -EINTR);
  operation->next = ended_.load(std::memory_order_relaxed);
  while (!ended_.compare_exchange_weak(operation->next, operation)) {
  }
}

}  // namespace sunstar
