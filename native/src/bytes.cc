// Copying and searching memory by address, for buffers whose pieces have no JavaScript object of their own:
// making one would cost more than the work, and leave garbage. The caller vouches for the addresses.
#include <cstdint>
#include <cstring>

#include "exports.h"

namespace sunstar {
namespace {

struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

bool BytesOf(Napi::Value value, Bytes* bytes) {
  void* data = nullptr;
  napi_typedarray_type type{};
  if (napi_get_typedarray_info(value.Env(), value, &type, &bytes->size, &data, nullptr, nullptr) != napi_ok) return false;
  bytes->data = static_cast<uint8_t*>(data);
  return type == napi_uint8_array;
}

double DoubleOf(Napi::Value value) {
  double number = -1;
  napi_get_value_double(value.Env(), value, &number);
  return number;
}

const uint8_t* AddressOf(double address) { return reinterpret_cast<const uint8_t*>(static_cast<uintptr_t>(address)); }

// gather(pieces: Float64Array, count, target: Uint8Array, at): copies `count` pieces (address, length) behind
// each other to target[at…]; the number of bytes, or −1 when they do not fit
Napi::Value Gather(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  napi_typedarray_type type{};
  size_t numbers = 0;
  void* table = nullptr;
  Bytes target;
  const double count = DoubleOf(info[1]);
  const double at = DoubleOf(info[3]);
  if (napi_get_typedarray_info(env, info[0], &type, &numbers, &table, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || !(count >= 0 && count * 2 <= static_cast<double>(numbers)) ||
      !BytesOf(info[2], &target) || !(at >= 0 && at <= static_cast<double>(target.size))) {
    return Napi::Number::New(env, -1);
  }
  const double* pieces = static_cast<const double*>(table);
  const size_t room = target.size - static_cast<size_t>(at);
  size_t total = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); i++) total += static_cast<size_t>(pieces[2 * i + 1]);
  if (total > room) return Napi::Number::New(env, -1);
  uint8_t* to = target.data + static_cast<size_t>(at);
  for (size_t i = 0; i < static_cast<size_t>(count); i++) {
    const size_t length = static_cast<size_t>(pieces[2 * i + 1]);
    // The target may be the memory that the pieces lie in.
    std::memmove(to, AddressOf(pieces[2 * i]), length);
    to += length;
  }
  return Napi::Number::New(env, static_cast<double>(total));
}

// findByte(address, length, byte): where the byte is first, or −1
Napi::Value FindByte(const Napi::CallbackInfo& info) {
  const uint8_t* data = AddressOf(DoubleOf(info[0]));
  const void* found = std::memchr(data, static_cast<int>(DoubleOf(info[2])), static_cast<size_t>(DoubleOf(info[1])));
  return Napi::Number::New(info.Env(), found == nullptr ? -1 : static_cast<double>(static_cast<const uint8_t*>(found) - data));
}

// findBytes(address, length, needle: Uint8Array): where the needle, which is not empty, begins first, or −1
Napi::Value FindBytes(const Napi::CallbackInfo& info) {
  Bytes needle;
  if (!BytesOf(info[2], &needle) || needle.size == 0) return Napi::Number::New(info.Env(), -1);
  const uint8_t* data = AddressOf(DoubleOf(info[0]));
  const void* found = memmem(data, static_cast<size_t>(DoubleOf(info[1])), needle.data, needle.size);
  return Napi::Number::New(info.Env(), found == nullptr ? -1 : static_cast<double>(static_cast<const uint8_t*>(found) - data));
}

}  // namespace

void ExportBytes(Napi::Env env, Napi::Object exports) {
  exports["gather"] = Napi::Function::New<Gather>(env, "gather");
  exports["findByte"] = Napi::Function::New<FindByte>(env, "findByte");
  exports["findBytes"] = Napi::Function::New<FindBytes>(env, "findBytes");
}

}  // namespace sunstar
