import type { IOBuf } from '@sunstar/iobuf';
import { inThisGroup } from '@sunstar/runtime';

interface Passenger {
  readonly resolve: (content: IOBuf) => void;
  readonly reject: (error: unknown) => void;
  readonly length: number;
}

/** A load under way, and everybody who waits for it. */
export class Flight {
  readonly length: number;
  /** False once something newer is known about the place: what arrives is not kept. */
  isCurrent = true;
  readonly #passengers: Passenger[] = [];

  constructor(length: number) {
    this.length = length;
  }

  /** Waits for it. @returns A share of its own, of at most `length` bytes. */
  join(length: number): Promise<IOBuf> {
    const content = new Promise<IOBuf>((resolve, reject) => {
      this.#passengers.push({ resolve, reject, length });
    });
    return inThisGroup(content);
  }

  land(content: IOBuf): void {
    for (const { resolve, reject, length } of this.#passengers) {
      try {
        resolve(content.share(0, Math.min(length, content.sizeBytes)));
      } catch (error) {
        reject(error);
      }
    }
  }

  crash(error: unknown): void {
    for (const { reject } of this.#passengers) reject(error);
  }
}
