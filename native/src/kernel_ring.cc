#include "kernel_ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace sunstar {

int KernelRing::Setup(uint32_t entries, uint32_t cq_entries) {
  constexpr uint32_t kBase = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  constexpr uint32_t kCooperative =
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  const uint32_t candidates[] = {
      kBase | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
          IORING_SETUP_TASKRUN_FLAG,              // 6.1
      kBase | kCooperative | IORING_SETUP_SINGLE_ISSUER,  // 6.0
      kBase | kCooperative,                       // 5.19
      kBase,
  };
  for (uint32_t flags : candidates) {
    params_ = {};
    params_.flags = flags;
    params_.cq_entries = cq_entries;
    fd_ = static_cast<int>(syscall(SYS_io_uring_setup, entries, &params_));
    if (fd_ >= 0 || errno != EINVAL) break;
  }
  if (fd_ < 0) return -errno;
  const int error = Map();
  if (error != 0) {
    close(fd_);
    fd_ = -1;
    return error;
  }
  RaiseWorkers();
  return 0;
}

// The kernel's threads for what would block belong to the thread, not to the ring, and its first ring decides how many
// there may be: one of a single entry, as a probe has, allows a single one for good.
void KernelRing::RaiseWorkers() const {
  const auto cpus = static_cast<uint32_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  // As the kernel does.
  const uint32_t wanted = std::min(params_.sq_entries, 4 * cpus);
  // Zeros ask. Kernels before 5.15 do not know it; they keep their limit.
  uint32_t limits[2] = {};
  if (Register(kRegisterWorkers, limits, 2) < 0 || limits[0] >= wanted) return;
  uint32_t raised[2] = {wanted, 0};
  Register(kRegisterWorkers, raised, 2);
}

int KernelRing::Map() {
  const size_t sq_size = params_.sq_off.array + params_.sq_entries * sizeof(uint32_t);
  const size_t cq_size = params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe);
  memory_size_ = std::max(sq_size, cq_size);
  void* memory = mmap(nullptr, memory_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_,
                      IORING_OFF_SQ_RING);
  if (memory == MAP_FAILED) return -errno;
  void* entries = mmap(nullptr, entries_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                       fd_, IORING_OFF_SQES);
  if (entries == MAP_FAILED) {
    const int error = -errno;
    munmap(memory, memory_size_);
    return error;
  }
  memory_ = static_cast<char*>(memory);
  entries_ = static_cast<char*>(entries);
  // Entry i of the queue is always entry i of the array: TypeScript never touches the indirection.
  uint32_t* array = Word(params_.sq_off.array);
  for (uint32_t i = 0; i < params_.sq_entries; i++) array[i] = i;
  return MapControl();
}

int KernelRing::Enter(uint32_t to_submit, uint32_t min_complete) {
  control_[kControlEnters]++;
  const uint32_t head = LoadAcquire(Word(params_.sq_off.head));
  const long result =
      syscall(SYS_io_uring_enter, fd_, to_submit, min_complete, IORING_ENTER_GETEVENTS, nullptr, 0);
  const int error = result < 0 ? -errno : 0;
  Took(head);
  return error != 0 ? error : static_cast<int>(result);
}

int KernelRing::EnterAndWait(uint32_t to_submit, int timeout_ms) {
  __kernel_timespec limit{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000LL};
  io_uring_getevents_arg argument{};
  if (timeout_ms >= 0) argument.ts = reinterpret_cast<uint64_t>(&limit);
  control_[kControlEnters]++;
  const uint32_t head = LoadAcquire(Word(params_.sq_off.head));
  const long result = syscall(SYS_io_uring_enter, fd_, to_submit, 1,
                              IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  const int error = result < 0 ? -errno : 0;
  Took(head);
  return error;
}

// A wait that ends in an error hides how many entries were taken; the queue itself tells.
void KernelRing::Took(uint32_t head) {
  const uint32_t end = LoadAcquire(Word(params_.sq_off.head));
  const uint32_t mask = params_.sq_entries - 1;
  const auto* entries = reinterpret_cast<const io_uring_sqe*>(entries_);
  for (; head != end; head++) submitted_ += IsCounted(entries[head & mask].user_data) ? 1 : 0;
}

int KernelRing::Register(uint32_t opcode, void* argument, uint32_t count) const {
  const long result = syscall(SYS_io_uring_register, fd_, opcode, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

int KernelRing::Probe(uint8_t* supported) const {
  std::vector<char> memory(sizeof(io_uring_probe) + kOperationCodes * sizeof(io_uring_probe_op));
  auto* probe = reinterpret_cast<io_uring_probe*>(memory.data());
  const int result = Register(IORING_REGISTER_PROBE, probe, kOperationCodes);
  if (result < 0) return result;
  for (uint32_t i = 0; i < probe->ops_len; i++) {
    supported[probe->ops[i].op] = (probe->ops[i].flags & IO_URING_OP_SUPPORTED) != 0 ? 1 : 0;
  }
  return 0;
}

int KernelRing::RegisterBuffers(const iovec* buffers, uint32_t count) {
  return Register(IORING_REGISTER_BUFFERS, const_cast<iovec*>(buffers), count);
}

int KernelRing::RegisterFiles(const int32_t* descriptors, uint32_t count) {
  return Register(IORING_REGISTER_FILES, const_cast<int32_t*>(descriptors), count);
}

int KernelRing::UpdateRegisteredFile(uint32_t slot, int32_t descriptor) {
  io_uring_files_update update{};
  update.offset = slot;
  update.fds = reinterpret_cast<uint64_t>(&descriptor);
  const int result = Register(IORING_REGISTER_FILES_UPDATE, &update, 1);
  return result < 0 ? result : 0;
}

int KernelRing::AddBufferRing(uint16_t group, uint32_t entries, void* memory, bool is_incremental) {
  BufferRingRegistration registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = entries;
  registration.bgid = group;
  if (is_incremental) registration.flags = kBufferRingIncremental;
  return Register(kRegisterBufferRing, &registration, 1);
}

int KernelRing::UnregisterBufferRing(uint16_t group) {
  BufferRingRegistration registration{};
  registration.bgid = group;
  return Register(kUnregisterBufferRing, &registration, 1);
}

void KernelRing::CancelAll() {
  SyncCancel request{};
  request.fd = -1;
  request.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  request.timeout.tv_nsec = 50'000'000;
  // -ENOENT: nothing to cancel; -ETIME: the rounds of Teardown go on; -EINVAL before 6.0: the
  // operations are waited for.
  Register(kRegisterSyncCancel, &request, 1);
}

void KernelRing::Close() {
  close(fd_);
  fd_ = -1;
}

}  // namespace sunstar
