#include "emulated_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>


namespace sunstar {
namespace {

int32_t Result(long value) { return value < 0 ? -errno : static_cast<int32_t>(value); }

const char* Path(const void* path) { return static_cast<const char*>(path); }

// Whether the operation names a path in its first, or in its first and second address.
int PathCount(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_OPENAT:
    case IORING_OP_OPENAT2:
    case IORING_OP_STATX:
    case IORING_OP_UNLINKAT:
    case IORING_OP_MKDIRAT:
      return 1;
    case IORING_OP_RENAMEAT:
    case IORING_OP_SYMLINKAT:
    case IORING_OP_LINKAT:
      return 2;
    default:
      return 0;
  }
}

// Reads and writes of a vector, at a position or (-1) where the file stands.
int32_t Transfer(const Operation& operation, const iovec* vector, int count, bool is_write) {
  const auto position = static_cast<int64_t>(operation.entry.off);
  const int fd = operation.entry.fd;
  const auto flags = static_cast<int>(operation.entry.rw_flags);
  return Result(is_write ? pwritev2(fd, vector, count, position, flags) : preadv2(fd, vector, count, position, flags));
}

}  // namespace

bool IsBlockingCall(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_FSYNC:
    case IORING_OP_SYNC_FILE_RANGE:
    case IORING_OP_FALLOCATE:
    case IORING_OP_FADVISE:
    case IORING_OP_MADVISE:
    case kOpFtruncate:
      return true;
    default:
      return PathCount(opcode) > 0;
  }
}

int StabilizeCall(Operation* operation) {
  io_uring_sqe& entry = operation->entry;
  if (operation->storage != nullptr) return 0;
  if (entry.opcode == IORING_OP_READV || entry.opcode == IORING_OP_WRITEV) {
    if (entry.len > IOV_MAX) return -EINVAL;
    const size_t size = entry.len * sizeof(iovec);
    operation->storage = static_cast<char*>(malloc(size + 1));
    if (operation->storage == nullptr) return -ENOMEM;
    memcpy(operation->storage, operation->address(), size);
    entry.addr = reinterpret_cast<uint64_t>(operation->storage);
    return 0;
  }
  const int paths = PathCount(entry.opcode);
  if (paths == 0) return 0;
  const size_t first = strnlen(Path(operation->address()), PATH_MAX) + 1;
  size_t second = 0;
  if (paths == 2) second = strnlen(Path(operation->second_address()), PATH_MAX) + 1;
  if (entry.opcode == IORING_OP_OPENAT2) second = entry.len;
  if (first > PATH_MAX || (paths == 2 && second > PATH_MAX)) return -ENAMETOOLONG;
  operation->storage = static_cast<char*>(malloc(first + second));
  if (operation->storage == nullptr) return -ENOMEM;
  memcpy(operation->storage, operation->address(), first);
  memcpy(operation->storage + first, operation->second_address(), second);
  entry.addr = reinterpret_cast<uint64_t>(operation->storage);
  if (second > 0) entry.addr2 = reinterpret_cast<uint64_t>(operation->storage + first);
  return 0;
}

int32_t MakeBlockingCall(const Operation& operation) {
  const io_uring_sqe& entry = operation.entry;
  const int fd = entry.fd;
  const auto offset = static_cast<off64_t>(entry.off);
  switch (entry.opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE: {
      const iovec vector{operation.address(), entry.len};
      return Transfer(operation, &vector, 1, entry.opcode == IORING_OP_WRITE);
    }
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
      return Transfer(operation, static_cast<const iovec*>(operation.address()), static_cast<int>(entry.len),
                      entry.opcode == IORING_OP_WRITEV);
    case IORING_OP_FSYNC:
      return Result((entry.fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? fdatasync(fd) : fsync(fd));
    case IORING_OP_SYNC_FILE_RANGE:
      return Result(sync_file_range(fd, offset, entry.len, entry.sync_range_flags));
    case IORING_OP_FALLOCATE:
      return Result(fallocate64(fd, static_cast<int>(entry.len), offset, static_cast<off64_t>(entry.addr)));
    case kOpFtruncate:
      return Result(ftruncate64(fd, offset));
    case IORING_OP_FADVISE:
      return -posix_fadvise64(fd, offset, entry.len, static_cast<int>(entry.fadvise_advice));
    case IORING_OP_MADVISE:
      return Result(madvise(operation.address(), entry.len, static_cast<int>(entry.fadvise_advice)));
    case IORING_OP_OPENAT:
      return Result(openat64(fd, Path(operation.address()), static_cast<int>(entry.open_flags), entry.len));
    case IORING_OP_OPENAT2:
      return Result(syscall(SYS_openat2, fd, operation.address(), operation.second_address(), entry.len));
    case IORING_OP_CLOSE:
      return Result(close(fd));
    case IORING_OP_STATX:
      return Result(syscall(SYS_statx, fd, operation.address(), entry.statx_flags, entry.len, operation.second_address()));
    case IORING_OP_RENAMEAT:
      return Result(syscall(SYS_renameat2, fd, operation.address(), static_cast<int>(entry.len),
                            operation.second_address(), entry.rename_flags));
    case IORING_OP_UNLINKAT:
      return Result(unlinkat(fd, Path(operation.address()), static_cast<int>(entry.unlink_flags)));
    case IORING_OP_MKDIRAT:
      return Result(mkdirat(fd, Path(operation.address()), entry.len));
    case IORING_OP_SYMLINKAT:
      return Result(symlinkat(Path(operation.address()), fd, Path(operation.second_address())));
    case IORING_OP_LINKAT:
      return Result(linkat(fd, Path(operation.address()), static_cast<int>(entry.len), Path(operation.second_address()),
                           static_cast<int>(entry.hardlink_flags)));
    case IORING_OP_CONNECT:
      return Result(connect(fd, static_cast<const sockaddr*>(operation.address()), static_cast<socklen_t>(entry.addr2)));
    default:
      return -EINVAL;
  }
}

}  // namespace sunstar
