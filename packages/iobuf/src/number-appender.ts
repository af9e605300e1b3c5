import { contiguousTail } from './append.js';
import { advance, type Chain } from './chain.js';
import { checkF64, checkI32, checkU8, checkU16, checkU32, checkU64, setU64 } from './numbers.js';

/**
 * The half of an IOBuf that appends numbers of fixed size. A number never lies across two fragments when it
 * is written: if the last one has too little room, a new one follows. Values out of range throw
 * `SUNSTAR_OUT_OF_RANGE`.
 */
export abstract class NumberAppender {
  /** @internal The content; throws SUNSTAR_IOBUF_DISPOSED once there is none. */
  protected abstract chain(): Chain;

  /** Appends an integer from 0 to 255. */
  appendU8(value: number): this {
    appendU8(this.chain(), value);
    return this;
  }

  /** Appends an integer from 0 to 2^16 − 1, least significant byte first. */
  appendU16LE(value: number): this {
    appendU16(this.chain(), value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^16 − 1, most significant byte first. */
  appendU16BE(value: number): this {
    appendU16(this.chain(), value, false);
    return this;
  }

  /** Appends an integer from 0 to 2^32 − 1, least significant byte first. */
  appendU32LE(value: number): this {
    appendU32(this.chain(), value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^32 − 1, most significant byte first. */
  appendU32BE(value: number): this {
    appendU32(this.chain(), value, false);
    return this;
  }

  /** Appends an integer from −2^31 to 2^31 − 1, least significant byte first. */
  appendI32LE(value: number): this {
    appendI32(this.chain(), value, true);
    return this;
  }

  /** Appends an integer from −2^31 to 2^31 − 1, most significant byte first. */
  appendI32BE(value: number): this {
    appendI32(this.chain(), value, false);
    return this;
  }

  /** Appends an integer from 0 to 2^53 − 1 as 64 bits, least significant byte first. */
  appendU64LE(value: number): this {
    appendU64(this.chain(), value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^53 − 1 as 64 bits, most significant byte first. */
  appendU64BE(value: number): this {
    appendU64(this.chain(), value, false);
    return this;
  }

  /** Appends an IEEE 754 double, least significant byte first. */
  appendF64LE(value: number): this {
    appendF64(this.chain(), value, true);
    return this;
  }

  /** Appends an IEEE 754 double, most significant byte first. */
  appendF64BE(value: number): this {
    appendF64(this.chain(), value, false);
    return this;
  }
}

function appendU8(chain: Chain, value: number): void {
  checkU8(value);
  const tail = contiguousTail(chain, 1);
  chain.bytes[tail.end] = value;
  advance(chain, tail, 1);
}

function appendU16(chain: Chain, value: number, littleEndian: boolean): void {
  checkU16(value);
  const tail = contiguousTail(chain, 2);
  chain.view.setUint16(tail.end, value, littleEndian);
  advance(chain, tail, 2);
}

function appendU32(chain: Chain, value: number, littleEndian: boolean): void {
  checkU32(value);
  const tail = contiguousTail(chain, 4);
  chain.view.setUint32(tail.end, value, littleEndian);
  advance(chain, tail, 4);
}

function appendI32(chain: Chain, value: number, littleEndian: boolean): void {
  checkI32(value);
  const tail = contiguousTail(chain, 4);
  chain.view.setInt32(tail.end, value, littleEndian);
  advance(chain, tail, 4);
}

function appendU64(chain: Chain, value: number, littleEndian: boolean): void {
  checkU64(value);
  const tail = contiguousTail(chain, 8);
  setU64(chain.view, tail.end, value, littleEndian);
  advance(chain, tail, 8);
}

function appendF64(chain: Chain, value: number, littleEndian: boolean): void {
  checkF64(value);
  const tail = contiguousTail(chain, 8);
  chain.view.setFloat64(tail.end, value, littleEndian);
  advance(chain, tail, 8);
}
