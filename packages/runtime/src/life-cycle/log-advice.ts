import type { Logger } from '../log.js';
import { type AdviceOptions, startupAdvice } from './advice.js';

let isLogged = false;

/** Logs what the machine's owner should change, once in a process. */
export function logAdvice(log: Logger, options: AdviceOptions): void {
  if (isLogged) return;
  isLogged = true;
  for (const { code, severity, message, remedy } of startupAdvice(options))
    log[severity]({ code, remedy }, message);
}
