// Calls on files that have no ring operation on every supported kernel.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "exports.h"

namespace sunstar {
namespace {

// statx fields that older headers do not name.
constexpr unsigned kStatxDioAlign = 0x2000;
constexpr size_t kStatxSize = 256;
constexpr size_t kMaskAt = 0;
constexpr size_t kMemoryAlignmentAt = 152;
constexpr size_t kOffsetAlignmentAt = 156;

int ToFd(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

Napi::Value Status(Napi::Env env, int result) { return Napi::Number::New(env, result >= 0 ? 0 : -errno); }

// directIoAlignment(fd): {memoryBytes, offsetBytes}, zeros where O_DIRECT is not supported;
// undefined where the kernel or file system does not tell (before 6.1); or a negative error number
Napi::Value DirectIoAlignment(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  char stat[kStatxSize] = {};
  if (syscall(SYS_statx, ToFd(info[0]), "", AT_EMPTY_PATH, kStatxDioAlign, stat) != 0) {
    return Napi::Number::New(env, -errno);
  }
  uint32_t mask = 0;
  uint32_t memory = 0;
  uint32_t offset = 0;
  memcpy(&mask, stat + kMaskAt, sizeof mask);
  memcpy(&memory, stat + kMemoryAlignmentAt, sizeof memory);
  memcpy(&offset, stat + kOffsetAlignmentAt, sizeof offset);
  if ((mask & kStatxDioAlign) == 0) return env.Undefined();
  auto result = Napi::Object::New(env);
  result["memoryBytes"] = Napi::Number::New(env, memory);
  result["offsetBytes"] = Napi::Number::New(env, offset);
  return result;
}

// tryLock(fd): takes the exclusive advisory lock of the open file; 0 or a negative error number
Napi::Value TryLock(const Napi::CallbackInfo& info) {
  return Status(info.Env(), flock(ToFd(info[0]), LOCK_EX | LOCK_NB));
}

// unlock(fd): gives that lock up; 0 or a negative error number
Napi::Value Unlock(const Napi::CallbackInfo& info) { return Status(info.Env(), flock(ToFd(info[0]), LOCK_UN)); }

// lockRange(fd, type, start, length): sets (0 shared, 1 exclusive) or removes (2) an advisory lock of the open file
// on a range, without waiting; length 0 is everything behind. 0 or a negative error number
Napi::Value LockRange(const Napi::CallbackInfo& info) {
  constexpr int16_t kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  struct flock lock {};
  lock.l_type = kTypes[info[1].As<Napi::Number>().Uint32Value() % 3];
  lock.l_whence = SEEK_SET;
  lock.l_start = info[2].As<Napi::Number>().Int64Value();
  lock.l_len = info[3].As<Napi::Number>().Int64Value();
  return Status(info.Env(), fcntl(ToFd(info[0]), F_OFD_SETLK, &lock));
}

// setExtentHint(fd, bytes): in which units the file system (xfs) allocates; 0 or a negative error number
Napi::Value SetExtentHint(const Napi::CallbackInfo& info) {
  struct fsxattr attributes {};
  const int fd = ToFd(info[0]);
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return Napi::Number::New(info.Env(), -errno);
  attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
  attributes.fsx_extsize = info[1].As<Napi::Number>().Uint32Value();
  return Status(info.Env(), ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
}

// freeDiskBytes(fd): what an unprivileged writer may still use, or a negative error number
Napi::Value FreeDiskBytes(const Napi::CallbackInfo& info) {
  struct statvfs stat {};
  if (fstatvfs(ToFd(info[0]), &stat) != 0) return Napi::Number::New(info.Env(), -errno);
  return Napi::Number::New(info.Env(), static_cast<double>(stat.f_bavail) * static_cast<double>(stat.f_frsize));
}

// truncate(fd, size): for kernels before 6.9, which have no ring operation; 0 or an error number
Napi::Value Truncate(const Napi::CallbackInfo& info) {
  return Status(info.Env(), ftruncate(ToFd(info[0]), info[1].As<Napi::Number>().Int64Value()));
}

// closeDescriptor(fd): 0 or a negative error number
Napi::Value CloseDescriptor(const Napi::CallbackInfo& info) { return Status(info.Env(), close(ToFd(info[0]))); }

}  // namespace

void ExportFile(Napi::Env env, Napi::Object exports) {
  exports["directIoAlignment"] = Napi::Function::New<DirectIoAlignment>(env, "directIoAlignment");
  exports["tryLock"] = Napi::Function::New<TryLock>(env, "tryLock");
  exports["unlock"] = Napi::Function::New<Unlock>(env, "unlock");
  exports["lockRange"] = Napi::Function::New<LockRange>(env, "lockRange");
  exports["setExtentHint"] = Napi::Function::New<SetExtentHint>(env, "setExtentHint");
  exports["freeDiskBytes"] = Napi::Function::New<FreeDiskBytes>(env, "freeDiskBytes");
  exports["truncate"] = Napi::Function::New<Truncate>(env, "truncate");
  exports["closeDescriptor"] = Napi::Function::New<CloseDescriptor>(env, "closeDescriptor");
}

}  // namespace sunstar
