/*
 * What the two ends of an async iterable tell each other. The consumer gives credits: at most `window` elements
 * are under way or waiting on its side. The producer ends the stream; the consumer then gives its token back,
 * which it may also do at any other time to end the stream without hearing how.
 */

/** Consumer: there is room for so many more elements. */
export const PULL = 0;
/** Consumer: no more elements, please; clean up and say END. */
export const RETURN = 1;
/** Consumer: the value is thrown into the generator. */
export const THROW = 2;

/** Producer: an element. */
export const ITEM = 0;
/** Producer: there are no more. The value is what the generator returned. */
export const END = 1;
/** Producer: the value was thrown; without a value (number 0) there was no memory to send it. */
export const FAIL = 2;

/** How many elements may be under way or waiting at the consumer, unless it says otherwise. */
export const DEFAULT_WINDOW = 16;
export const MAX_WINDOW = 65_536;
