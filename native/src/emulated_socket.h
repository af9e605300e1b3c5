// One attempt at an operation on a socket that never waits.
#pragma once

#include "emulated_operation.h"

namespace sunstar {

// What an attempt returns that has to wait for its descriptor. No error of a system call has this number.
constexpr int32_t kMustWait = INT32_MIN;
// What a connect returns that only a blocking call can make.
constexpr int32_t kMustBlock = INT32_MIN + 1;

int32_t AttemptSend(Operation* operation);
int32_t AttemptSendMessage(Operation* operation);
// Into the operation's own memory, or into a provided buffer.
int32_t AttemptReceive(Operation* operation, const ProvidedBuffer* buffer);
int32_t AttemptReceiveMessage(Operation* operation);
// With the layout of `io_uring_recvmsg_out` in the buffer. `is_last` is set for what ends the operation.
int32_t AttemptReceiveDatagram(Operation* operation, const ProvidedBuffer* buffer, bool* is_last);
int32_t AttemptAccept(Operation* operation, bool is_multishot);
int32_t AttemptConnect(Operation* operation);
// A READ or WRITE of something that is not a file of a file system: a pipe, a socket, a terminal.
int32_t AttemptTransfer(Operation* operation);

// Before the first accept of an operation; 0 or a negative error number.
int PrepareAccept(int fd);
// Copies a message's header, name, control data and vector; 0 or a negative error number.
int StabilizeMessage(Operation* operation);
bool IsTcp(int fd);
bool IsStream(int fd);
// How much waits to be received.
bool HasInput(int fd);

}  // namespace sunstar
