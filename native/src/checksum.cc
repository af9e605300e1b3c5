// CRC-32C with the processor's instruction: three independent streams hide its latency, and a table of
// zero-byte shifts joins them.
#include <array>
#include <cstdint>
#include <cstring>

#include "exports.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define SUNSTAR_CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#define SUNSTAR_CRC_TARGET __attribute__((target("+crc")))
#endif

namespace sunstar {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected
// Bytes of each of the three streams: long ones for long input, short ones for what is left of it.
constexpr size_t kLong = 8192;
constexpr size_t kShort = 256;

using Table = std::array<uint32_t, 256>;
using Matrix = std::array<uint32_t, 32>;

constexpr uint32_t Times(const Matrix& matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (size_t bit = 0; vector != 0; vector >>= 1, bit++) {
    if (vector & 1) sum ^= matrix[bit];
  }
  return sum;
}

constexpr Matrix Square(const Matrix& matrix) {
  Matrix square{};
  for (size_t bit = 0; bit < 32; bit++) square[bit] = Times(matrix, matrix[bit]);
  return square;
}

// What `bytes` zero bytes (a power of two) do to a checksum, as one table for each of its four bytes.
constexpr std::array<Table, 4> ShiftBy(size_t bytes) {
  Matrix matrix{};  // one zero bit
  matrix[0] = kPolynomial;
  for (size_t bit = 1; bit < 32; bit++) matrix[bit] = 1u << (bit - 1);
  for (size_t bits = 1; bits < bytes * 8; bits *= 2) matrix = Square(matrix);
  std::array<Table, 4> tables{};
  for (uint32_t value = 0; value < 256; value++) {
    for (size_t byte = 0; byte < 4; byte++) tables[byte][value] = Times(matrix, value << (8 * byte));
  }
  return tables;
}

constexpr auto kShiftLong = ShiftBy(kLong);
constexpr auto kShiftShort = ShiftBy(kShort);

inline uint32_t Shift(const std::array<Table, 4>& tables, uint32_t crc) {
  return tables[0][crc & 0xff] ^ tables[1][(crc >> 8) & 0xff] ^ tables[2][(crc >> 16) & 0xff] ^ tables[3][crc >> 24];
}

#if defined(SUNSTAR_CRC_TARGET)

SUNSTAR_CRC_TARGET inline uint64_t Step8(uint64_t crc, const uint8_t* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof word);
#if defined(__x86_64__)
  return _mm_crc32_u64(crc, word);
#else
  return __crc32cd(static_cast<uint32_t>(crc), word);
#endif
}

SUNSTAR_CRC_TARGET inline uint64_t Step1(uint64_t crc, uint8_t byte) {
#if defined(__x86_64__)
  return _mm_crc32_u8(static_cast<uint32_t>(crc), byte);
#else
  return __crc32cb(static_cast<uint32_t>(crc), byte);
#endif
}

template <size_t kStream>
SUNSTAR_CRC_TARGET inline uint64_t Streams(uint64_t crc, const uint8_t*& data, size_t& length,
                                           const std::array<Table, 4>& shift) {
  while (length >= 3 * kStream) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (const uint8_t* end = data + kStream; data < end; data += 8) {
      crc = Step8(crc, data);
      second = Step8(second, data + kStream);
      third = Step8(third, data + 2 * kStream);
    }
    crc = Shift(shift, static_cast<uint32_t>(crc)) ^ second;
    crc = Shift(shift, static_cast<uint32_t>(crc)) ^ third;
    data += 2 * kStream;
    length -= 3 * kStream;
  }
  return crc;
}

SUNSTAR_CRC_TARGET uint32_t Crc32c(const uint8_t* data, size_t length, uint32_t seed) {
  uint64_t crc = ~seed;
  crc = Streams<kLong>(crc, data, length, kShiftLong);
  crc = Streams<kShort>(crc, data, length, kShiftShort);
  for (; length >= 8; data += 8, length -= 8) crc = Step8(crc, data);
  for (; length > 0; data++, length--) crc = Step1(crc, *data);
  return ~static_cast<uint32_t>(crc);
}

bool HasInstruction() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("sse4.2");
#else
  return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

#else

uint32_t Crc32c(const uint8_t*, size_t, uint32_t) { return 0; }
bool HasInstruction() { return false; }

#endif

// crc32c(bytes: Uint8Array, start, end, seed): the checksum of bytes[start, end), or −1 when the range is
// not in the array.
Napi::Value Checksum(const Napi::CallbackInfo& info) {
  napi_value argv[4] = {info[0], info[1], info[2], info[3]};
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type{};
  double start = 0;
  double end = 0;
  uint32_t seed = 0;
  if (napi_get_typedarray_info(info.Env(), argv[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || napi_get_value_double(info.Env(), argv[1], &start) != napi_ok ||
      napi_get_value_double(info.Env(), argv[2], &end) != napi_ok ||
      napi_get_value_uint32(info.Env(), argv[3], &seed) != napi_ok || !(start >= 0) || !(end >= start) ||
      !(end <= static_cast<double>(length))) {
    return Napi::Number::New(info.Env(), -1);
  }
  const size_t from = static_cast<size_t>(start);
  const size_t count = static_cast<size_t>(end) - from;
  return Napi::Number::New(info.Env(), Crc32c(static_cast<const uint8_t*>(data) + from, count, seed));
}

}  // namespace

void ExportChecksum(Napi::Env env, Napi::Object exports) {
  // Absent where the processor has no instruction for it.
  if (HasInstruction()) exports["crc32c"] = Napi::Function::New<Checksum>(env, "crc32c");
}

}  // namespace sunstar
