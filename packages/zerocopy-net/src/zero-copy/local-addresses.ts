import { networkInterfaces } from 'node:os';

const REFRESH_MS = 10_000;
const MAPPED_PREFIX = '::ffff:';

/**
 * Knows which addresses are this machine's own. What is sent to them goes through the loopback device, where the
 * kernel copies zero-copy sends after all, at the receiver, and at a higher price.
 */
export class LocalAddresses {
  readonly #nowMs: () => number;
  readonly #list: () => readonly string[];
  #addresses = new Set<string>();
  #readMs = Number.NEGATIVE_INFINITY;

  /** @param list - The addresses of this machine. @defaultValue as the operating system has them */
  constructor(nowMs: () => number, list: () => readonly string[] = addressesOfInterfaces) {
    this.#nowMs = nowMs;
    this.#list = list;
  }

  /** Whether an address, in the kernel's notation, is of this machine. New ones are noticed within 10 s. */
  has(address: string): boolean {
    const plain = withoutPrefix(address);
    if (plain.startsWith('127.') || plain === '::1') return true;
    const nowMs = this.#nowMs();
    if (nowMs - this.#readMs >= REFRESH_MS) {
      this.#addresses = new Set(this.#list().map(withoutPrefix));
      this.#readMs = nowMs;
    }
    return this.#addresses.has(plain);
  }
}

/** An IPv4 address that an IPv6 socket talks to is the IPv4 address. */
export function withoutPrefix(address: string): string {
  return address.startsWith(MAPPED_PREFIX) ? address.slice(MAPPED_PREFIX.length) : address;
}

function addressesOfInterfaces(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}
