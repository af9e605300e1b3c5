// The queues of an io_uring instance, made with raw system calls.
#pragma once

#include "ring.h"

namespace sunstar {

class KernelRing final : public Ring {
 public:
  // The kernel's larger flags are tried first and dropped one by one where it does not know them.
  int Setup(uint32_t entries, uint32_t cq_entries) override;
  int Enter(uint32_t to_submit, uint32_t min_complete) override;
  int EnterAndWait(uint32_t to_submit, int timeout_ms) override;
  int Probe(uint8_t* supported) const override;
  int RegisterBuffers(const iovec* buffers, uint32_t count) override;
  int RegisterFiles(const int32_t* descriptors, uint32_t count) override;
  int UpdateRegisteredFile(uint32_t slot, int32_t descriptor) override;
  int UnregisterBufferRing(uint16_t group) override;
  int fd() const override { return fd_; }

 private:
  int Map();
  void RaiseWorkers() const;
  // Counts what an enter took of the submission queue, from `head` on.
  void Took(uint32_t head);
  int Register(uint32_t opcode, void* argument, uint32_t count) const;
  int AddBufferRing(uint16_t group, uint32_t entries, void* memory, bool is_incremental) override;
  void CancelAll() override;
  void Close() override;

  int fd_ = -1;
};

}  // namespace sunstar
