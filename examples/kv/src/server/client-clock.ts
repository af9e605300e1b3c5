import type { ServerOptions } from '../options.js';

/** Why a client is to be closed. */
export type Overdue = 'output' | 'handshake' | 'idle' | null;

/** Knows how long a client has done nothing of several kinds. */
export class ClientClock {
  readonly #openedMs: number;
  #activeMs: number;
  /** Output that waited when the clock was last looked at, and since when it is the same. */
  #pendingBytes = 0;
  #progressMs: number;
  #hasSentCommand = false;

  constructor(nowMs: number) {
    this.#openedMs = nowMs;
    this.#activeMs = nowMs;
    this.#progressMs = nowMs;
  }

  /** The client has sent something. */
  active(nowMs: number): void {
    this.#activeMs = nowMs;
  }

  /** The client has sent a whole command. */
  command(): void {
    this.#hasSentCommand = true;
  }

  ageMs(nowMs: number): number {
    return nowMs - this.#openedMs;
  }

  idleMs(nowMs: number): number {
    return nowMs - this.#activeMs;
  }

  /** Whether a time is up. To be asked about once a second, with the bytes that wait for the client. */
  check(nowMs: number, pendingBytes: number, options: ServerOptions): Overdue {
    // While too much waits nothing is added to it: as long as it is the same, the client reads nothing.
    if (pendingBytes === 0 || pendingBytes !== this.#pendingBytes) {
      this.#pendingBytes = pendingBytes;
      this.#progressMs = nowMs;
    }
    if (isOver(options.clientOutputTimeoutMs, nowMs - this.#progressMs)) return 'output';
    if (!this.#hasSentCommand && isOver(options.handshakeTimeoutMs, this.ageMs(nowMs))) return 'handshake';
    if (pendingBytes === 0 && isOver(options.idleTimeoutMs, this.idleMs(nowMs))) return 'idle';
    return null;
  }
}

function isOver(timeoutMs: number, elapsedMs: number): boolean {
  return timeoutMs > 0 && elapsedMs >= timeoutMs;
}
