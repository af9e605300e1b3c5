// The operations of the emulated ring that are one blocking system call.
#pragma once

#include "emulated_operation.h"

namespace sunstar {

// Whether the operation is one of them whatever its descriptor is.
bool IsBlockingCall(uint8_t opcode);
// Copies what the submitter may change as soon as the operation is submitted (paths, vectors); 0 or a negative error
// number.
int StabilizeCall(Operation* operation);
// Makes the call; its result, or a negative error number.
int32_t MakeBlockingCall(const Operation& operation);

}  // namespace sunstar
