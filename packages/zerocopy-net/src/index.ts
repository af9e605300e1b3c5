export { type ConnectOptions, connect } from './connect.js';
export { Connection } from './connection.js';
export { type ConnectionHandler, type ListenOptions, listen } from './listen.js';
export { type CloseListenerOptions, Listener } from './listener.js';
export { configureNetwork, type NetworkOptions, type NetworkStats, networkStats } from './network.js';
export type { ConnectionOptions } from './options.js';
export type { Receiver } from './receiver.js';
export type { ConnectionStats } from './stats.js';
