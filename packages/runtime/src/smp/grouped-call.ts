import type { Task } from '../scheduling/task.js';
import type { Moved } from './codec/transfer.js';
import type { Link } from './link.js';
import type { ServedCall } from './served-call.js';

/** Who runs a call in its group. */
export interface Runs {
  run(grouped: GroupedCall): void;
}

/** A call that waits for a turn of its scheduling group. */
export class GroupedCall implements Task {
  readonly #server: Runs;
  readonly link: Link;
  readonly kind: number;
  readonly callId: number;
  readonly target: number;
  readonly args: readonly unknown[];
  readonly call: ServedCall | undefined;
  readonly moved: readonly Moved[] | undefined;

  constructor(
    server: Runs,
    link: Link,
    kind: number,
    callId: number,
    target: number,
    args: readonly unknown[],
    call: ServedCall | undefined,
    moved: readonly Moved[] | undefined,
  ) {
    this.#server = server;
    this.link = link;
    this.kind = kind;
    this.callId = callId;
    this.target = target;
    this.args = args;
    this.call = call;
    this.moved = moved;
  }

  complete(): void {
    this.#server.run(this);
  }
}
