// Operation codes that the installed kernel headers may be too old to name.
#pragma once

#include <cstdint>

namespace sunstar {

constexpr uint8_t kOpMsgRing = 40;
constexpr uint8_t kOpSocket = 45;
constexpr uint8_t kOpFtruncate = 55;

}  // namespace sunstar
