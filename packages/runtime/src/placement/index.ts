export { formatCpuList, parseCpuList } from './cpu-list.js';
export {
  type CpuLists,
  type Placed,
  type Placement,
  type PlacementOptions,
  placeShards,
} from './placement.js';
export { cpuQuota } from './quota.js';
export { allowedCpus, type Cpu, readTopology } from './topology.js';
