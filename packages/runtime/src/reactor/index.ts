export { type Backend, type BackendChoice, type BackendOption, chooseBackend } from './backend.js';
export type { Completion } from './completion.js';
export {
  AT_FDCWD,
  IORING_CQE_F,
  IORING_FSYNC_DATASYNC,
  IORING_OP,
  IORING_RECVSEND,
  IOSQE,
} from './constants.js';
export type { Descriptors } from './descriptors.js';
export { MAX_OPERATIONS } from './operation-table.js';
export type { OperationObserver, ReactorOptions, ReactorStats } from './options.js';
export { type Poller, Reactor } from './reactor.js';
export type { RegistrationRing, Registrations } from './registrations.js';
