export { Barrier } from './barrier.js';
export { ConditionVariable } from './condition-variable.js';
export { ExpiringFifo, type ExpiringFifoOptions } from './expiring-fifo.js';
export { Gate, GateHolder } from './gate.js';
export { Latch } from './latch.js';
export { doUntil, repeat } from './loops.js';
export { type Clock, LowresClock, lowresClock } from './lowres-clock.js';
export { Mutex, MutexLock } from './mutex.js';
export { NodeTimers, type NodeTimersOptions, threadTimers } from './node-timers.js';
export {
  type ConcurrencyOptions,
  type MapReduceOptions,
  mapReduce,
  maxConcurrentForEach,
  parallelForEach,
  whenAllSucceed,
} from './parallel.js';
export { Pipe, PipeReader, type PipeValue, PipeWriter } from './pipe.js';
export { Queue, type QueueOptions } from './queue.js';
export { type RetryAttempt, type RetryOptions, retry } from './retry.js';
export { RwLock, RwLockHold } from './rw-lock.js';
export { Permit, Semaphore } from './semaphore.js';
export { SharedPromise } from './shared-promise.js';
export { type SleepOptions, sleep } from './sleep.js';
export { MAX_DELAY_MS, Timer, type Timers } from './timer.js';
export { TimerWheel, type TimerWheelOptions } from './timer-wheel.js';
export { DEFAULT_MAX_WAITERS, type SyncOptions, type WaitOptions } from './wait-list.js';
export { type WithTimeoutOptions, withTimeout } from './with-timeout.js';
