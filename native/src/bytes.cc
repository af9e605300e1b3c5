// Copying and searching memory by address, for buffers whose pieces have no JavaScript object of their own:
// making one would cost more than the work, and leave garbage. The caller vouches for the addresses.
#include <algorithm>
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

// A candidate costs about as much as so many bytes of memchr.
constexpr size_t kBytesPerCandidate = 32;

// memchr for the first byte is several times faster than memmem, unless that byte is frequent.
const uint8_t* FindWithin(const uint8_t* data, size_t length, const Bytes& needle) {
  const uint8_t* at = data;
  const uint8_t* last = data + length - needle.size;
  for (size_t candidates = 1; at <= last; candidates++) {
    at = static_cast<const uint8_t*>(std::memchr(at, needle.data[0], static_cast<size_t>(last - at) + 1));
    if (at == nullptr) return nullptr;
    if (std::memcmp(at, needle.data, needle.size) == 0) return at;
    at++;
    if (candidates * kBytesPerCandidate > static_cast<size_t>(at - data) + 8 * kBytesPerCandidate) {
      return static_cast<const uint8_t*>(memmem(at, static_cast<size_t>(data + length - at), needle.data, needle.size));
    }
  }
  return nullptr;
}

// Whether the needle begins at `start` of piece `first` and goes on in the pieces behind it.
bool MatchesAcross(const double* pieces, size_t count, size_t first, size_t start, const Bytes& needle) {
  size_t done = 0;
  for (size_t i = first; i < count; i++, start = 0) {
    const size_t length = std::min(static_cast<size_t>(pieces[2 * i + 1]) - start, needle.size - done);
    if (std::memcmp(AddressOf(pieces[2 * i]) + start, needle.data + done, length) != 0) return false;
    done += length;
    if (done == needle.size) return true;
  }
  return false;
}

// find(pieces: Float64Array, count, needle: Uint8Array): where the needle, which is not empty, begins first in
// the pieces as one sequence, or −1
Napi::Value Find(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  napi_typedarray_type type{};
  size_t numbers = 0;
  void* table = nullptr;
  Bytes needle;
  const double given = DoubleOf(info[1]);
  if (napi_get_typedarray_info(env, info[0], &type, &numbers, &table, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || !(given >= 0 && given * 2 <= static_cast<double>(numbers)) ||
      !BytesOf(info[2], &needle) || needle.size == 0) {
    return Napi::Number::New(env, -1);
  }
  const double* pieces = static_cast<const double*>(table);
  const size_t count = static_cast<size_t>(given);
  size_t base = 0;
  for (size_t i = 0; i < count; i++) {
    const uint8_t* data = AddressOf(pieces[2 * i]);
    const size_t length = static_cast<size_t>(pieces[2 * i + 1]);
    size_t start = 0;
    if (length >= needle.size) {
      const uint8_t* found = FindWithin(data, length, needle);
      if (found != nullptr) return Napi::Number::New(env, static_cast<double>(base + (found - data)));
      start = length - needle.size + 1;
    }
    for (; start < length; start++) {
      if (data[start] == needle.data[0] && MatchesAcross(pieces, count, i, start, needle)) {
        return Napi::Number::New(env, static_cast<double>(base + start));
      }
    }
    base += length;
  }
  return Napi::Number::New(env, -1);
}

}  // namespace

void ExportBytes(Napi::Env env, Napi::Object exports) {
  exports["gather"] = Napi::Function::New<Gather>(env, "gather");
  exports["find"] = Napi::Function::New<Find>(env, "find");
}

}  // namespace sunstar
