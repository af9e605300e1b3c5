// What a program in C gets from a ring like a shard's; see layers.mjs, which builds and runs it:
//   ring-loop PATH FILE_BYTES BLOCK_BYTES DEPTH KIND HAND_OVER_BY WARM_UP_MS RUN_MS
// KIND: 0 reads, 1 writes at random places of a file, 2 writes a new one from its beginning
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static double us(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

static void check(int fine, const char* what) {
  if (fine) return;
  perror(what);
  exit(1);
}

int main(int count, char** arguments) {
  if (count != 9) return 2;
  const uint64_t file_bytes = strtoull(arguments[2], NULL, 10);
  const uint32_t block_bytes = strtoul(arguments[3], NULL, 10);
  const uint32_t depth = strtoul(arguments[4], NULL, 10);
  const int is_growing = atoi(arguments[5]) == 2;
  const int is_write = is_growing || atoi(arguments[5]) == 1;
  const uint32_t hand_over_by = strtoul(arguments[6], NULL, 10);
  const double warm_up_ms = atof(arguments[7]);
  const double run_ms = atof(arguments[8]);
  const int file = open(arguments[1], (is_write ? O_WRONLY | O_CREAT : O_RDONLY) | O_DIRECT, 0644);
  check(file >= 0, "open");
  struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                                            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                            IORING_SETUP_TASKRUN_FLAG,
                                   .cq_entries = 512};
  const int ring = syscall(SYS_io_uring_setup, 256, &params);
  check(ring >= 0, "io_uring_setup");
  char* queues = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe) + 256 * 4,
                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe* entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  char* memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(queues != MAP_FAILED && (void*)entries != MAP_FAILED && memory != MAP_FAILED, "mmap");
  madvise(memory, 64 << 20, MADV_HUGEPAGE);
  memset(memory, 1, 64 << 20);
  uint32_t* sq_tail = (uint32_t*)(queues + params.sq_off.tail);
  uint32_t* sq_array = (uint32_t*)(queues + params.sq_off.array);
  uint32_t* cq_head = (uint32_t*)(queues + params.cq_off.head);
  uint32_t* cq_tail = (uint32_t*)(queues + params.cq_off.tail);
  struct io_uring_cqe* cqes = (struct io_uring_cqe*)(queues + params.cq_off.cqes);
  for (uint32_t i = 0; i < params.sq_entries; i++) sq_array[i] = i;

  uint64_t random = 88172645463325252ull;
  uint32_t tail = 0;
  uint32_t unsubmitted = 0;
  uint64_t issued = 0;
  uint64_t ended = 0;
  double from_ms = now_ms() + warm_up_ms;
  struct rusage before = {0};
  int is_measured = 0;
  // The first round of the loop fills the ring.
  for (uint32_t head = 0, filled = 0;;) {
    uint32_t end = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
    while (head != end || filled < depth) {
      uint32_t slot = filled;
      if (filled < depth) {
        filled++;
      } else {
        const struct io_uring_cqe* cqe = &cqes[head & (params.cq_entries - 1)];
        if (cqe->res != (int32_t)block_bytes) return 3;
        slot = cqe->user_data;
        head++;
        ended++;
      }
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      struct io_uring_sqe* entry = &entries[tail & (params.sq_entries - 1)];
      memset(entry, 0, sizeof *entry);
      entry->opcode = is_write ? IORING_OP_WRITE : IORING_OP_READ;
      entry->fd = file;
      entry->off = (is_growing ? issued++ : random % (file_bytes / block_bytes)) * block_bytes;
      entry->addr = (uint64_t)(memory + (uint64_t)slot * block_bytes);
      entry->len = block_bytes;
      entry->user_data = slot;
      __atomic_store_n(sq_tail, ++tail, __ATOMIC_RELEASE);
      unsubmitted++;
      if (unsubmitted < hand_over_by) continue;
      syscall(SYS_io_uring_enter, ring, unsubmitted, 0, IORING_ENTER_GETEVENTS, NULL, 0);
      unsubmitted = 0;
    }
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    const double at_ms = now_ms();
    if (!is_measured && at_ms >= from_ms) {
      is_measured = 1;
      from_ms = at_ms;
      ended = 0;
      getrusage(RUSAGE_SELF, &before);
    } else if (is_measured && at_ms >= from_ms + run_ms) {
      struct rusage after;
      getrusage(RUSAGE_SELF, &after);
      printf("{\"rate\": %f, \"userUs\": %f, \"systemUs\": %f}\n", ended * 1000 / (at_ms - from_ms),
             (us(after.ru_utime) - us(before.ru_utime)) / ended, (us(after.ru_stime) - us(before.ru_stime)) / ended);
      return 0;
    }
    if (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) != head) continue;
    syscall(SYS_io_uring_enter, ring, unsubmitted, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    unsubmitted = 0;
  }
}
