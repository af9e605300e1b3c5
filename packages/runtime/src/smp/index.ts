export type { CallOptions } from './call-options.js';
export { type ErrorClass, registerErrorClass } from './codec/error-classes.js';
export {
  type Borrower,
  type Holder,
  type Lender,
  type Moved,
  type Parcel,
  registerTransfer,
  type TransferType,
} from './codec/transfer.js';
export { ForeignPtr } from './foreign-ptr.js';
export { ControlLayout, controlBlockBytes, createControlBlock, defaultSlots, resetShard } from './layout.js';
export type { ShardLoad } from './load-table.js';
export { Mesh } from './mesh.js';
export type { MeshGroupStats, MeshStats } from './mesh-stats.js';
export type { MeshLimits, MeshOptions } from './options.js';
export { RemoteStream } from './remote-stream.js';
export { type CallContext, currentCall } from './served-call.js';
export {
  type OnFull,
  ServiceGroup,
  type ServiceGroupOptions,
  type ServiceGroupStats,
} from './service-group.js';
export type { ServiceOptions } from './service-options.js';
export {
  type MethodName,
  type OneWay,
  type PickOptions,
  type Remote,
  type RemoteAll,
  Sharded,
} from './sharded.js';
export { MAX_SHARDS_WITH_PORTS, move } from './transferable.js';
