// Rings of provided buffers (IORING_REGISTER_PBUF_RING), consumed in user space.
#pragma once


#include <cerrno>
#include <cstdint>
#include <vector>

#include "uring_compat.h"

namespace sunstar {

class ProvidedBuffers {
 public:
  int Add(uint16_t group, uint32_t entries, void* memory, bool is_incremental) {
    if (entries == 0 || entries > kMaxEntries || (entries & (entries - 1)) != 0) return -EINVAL;
    if (group >= groups_.size()) groups_.resize(group + size_t{1});
    if (groups_[group].buffers != nullptr) return -EEXIST;
    groups_[group] = {static_cast<ProvidedBuffer*>(memory), static_cast<uint16_t>(entries - 1), 0, is_incremental};
    return 0;
  }

  int Remove(uint16_t group) {
    if (group >= groups_.size() || groups_[group].buffers == nullptr) return -ENOENT;
    groups_[group] = {};
    return 0;
  }

  // The next buffer, which is still there for others until it is taken; nullptr when there is none.
  const ProvidedBuffer* Next(uint16_t group) const {
    if (group >= groups_.size() || groups_[group].buffers == nullptr) return nullptr;
    const Group& one = groups_[group];
    // The tail lies in the reserved field of the first entry.
    if (__atomic_load_n(&one.buffers[0].resv, __ATOMIC_ACQUIRE) == one.head) return nullptr;
    return &one.buffers[one.head & one.mask];
  }

  // Uses so many bytes of the next buffer; true when the rest of it stays for others.
  bool Take(uint16_t group, uint32_t bytes) {
    Group& one = groups_[group];
    if (one.is_incremental) {
      ProvidedBuffer& buffer = one.buffers[one.head & one.mask];
      buffer.addr += bytes;
      buffer.len -= bytes;
      if (buffer.len > 0) return true;
    }
    one.head++;
    return false;
  }

 private:
  static constexpr uint32_t kMaxEntries = 32768;

  struct Group {
    ProvidedBuffer* buffers = nullptr;
    uint16_t mask = 0;
    uint16_t head = 0;
    bool is_incremental = false;
  };

  std::vector<Group> groups_;
};

}  // namespace sunstar
