export { type Advice, type AdviceOptions, startupAdvice } from './advice.js';
export { type ListeningSocket, ListeningSockets } from './listening-sockets.js';
export type { ReloadOptions } from './restart-policy.js';
