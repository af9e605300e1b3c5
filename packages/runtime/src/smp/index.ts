export { type ErrorClass, registerErrorClass } from './codec/error-classes.js';
export {
  type Lender,
  type Parcel,
  registerTransfer,
  type TransferType,
} from './codec/transfer.js';
export { ControlLayout, controlBlockBytes, createControlBlock, DEFAULT_SLOTS } from './layout.js';
export { Mesh, type MeshStats } from './mesh.js';
export type { MeshLimits, MeshOptions } from './options.js';
export { type MethodName, type OneWay, type Remote, type RemoteAll, Sharded } from './sharded.js';
