/** Limits of one message. */
export interface MessageLimits {
  /** Largest encoded size of the arguments or the result of a call, in bytes. Default 16 MiB. */
  readonly maxMessageBytes: number;
  /** Deepest nesting of objects, arrays, maps, sets and error causes. Default 200. */
  readonly maxDepth: number;
}

export const DEFAULT_MESSAGE_LIMITS: MessageLimits = { maxMessageBytes: 16 * 1024 * 1024, maxDepth: 200 };
