import { constants } from 'node:os';

/** A signal that follows another within this time is an echo of it. */
const SAME_SIGNAL_MS = 1_000;

/**
 * SIGINT and SIGTERM, until this is disposed. The second one ends the process at once with its usual exit code; one
 * within a second of the first counts as the same, because a terminal and npm both pass Ctrl-C on.
 */
export class EndSignals implements Disposable {
  /** Resolves at the first one. */
  readonly first: Promise<void>;
  readonly #onSignal: (name: NodeJS.Signals) => void;

  constructor() {
    let signalled: () => void = () => {};
    this.first = new Promise<void>((resolve) => {
      signalled = resolve;
    });
    let firstMs: number | undefined;
    this.#onSignal = (name) => {
      firstMs ??= performance.now();
      if (performance.now() - firstMs > SAME_SIGNAL_MS) process.exit(128 + constants.signals[name]);
      signalled();
    };
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }
}
