import type { Logger } from '../log.js';
import type { BackendChoice } from '../reactor/index.js';
import { type Advice, type AdviceOptions, backendAdvice, startupAdvice } from './advice.js';

const EMULATED = 'SUNSTAR_ADVICE_EMULATED';

let isLogged = false;
let isBackendLogged = false;

function write(log: Logger, { code, severity, message, remedy }: Advice): void {
  log[severity]({ code, remedy }, message);
}

/** Logs what the machine's owner should change, once in a process. */
export function logAdvice(log: Logger, options: AdviceOptions): void {
  if (isLogged) return;
  isLogged = true;
  for (const advice of startupAdvice(options)) {
    // That one has a line of its own, see logBackend.
    if (advice.code !== EMULATED) write(log, advice);
  }
}

/** Logs that the rings are emulated although nobody asked for that, once in a process. */
export function logBackend(log: Logger, choice: BackendChoice): void {
  const advice = backendAdvice(choice);
  if (advice === undefined || isBackendLogged) return;
  isBackendLogged = true;
  write(log, advice);
}
