/*
 * The wire form of values: a tag byte and what belongs to it. Both ends are threads of one process, so
 * numbers are little-endian and nothing carries a version.
 *
 *   value    = UNDEFINED | NULL | FALSE | TRUE | HOLE
 *            | INT32 i32 | FLOAT64 f64 | BIGINT64 i64 | BIGINT negative:u8 digits:string
 *            | STRING8 length:u8 bytes | STRING length:u32 bytes | STRING_WIDE units:u32 bytes
 *            | BYTES length:u32 bytes | VIEW kind:u8 length:u32 bytes
 *            | ARRAY length:u32 value* | OBJECT count:u32 (key:string value)*
 *            | DATE f64 | REGEXP source:string flags:string
 *            | MAP count:u32 (key:value value)* | SET count:u32 value*
 *            | ERROR (see error-codec.ts) | CLONED length:u32 bytes (node:v8)
 *            | REFERENCE index:u32
 *            | TRANSFER count:u32 type:string token:f64 f64* (see transfer.ts)
 *
 * STRING8 and STRING hold one byte a character (latin1), STRING_WIDE two (UTF-16): what the engine keeps,
 * so a copy is a memcpy and lone surrogates survive. A REFERENCE names an object of the same message by
 * the order in which the objects began: shared references and cycles arrive as they left.
 */
export const TAG_UNDEFINED = 0;
export const TAG_NULL = 1;
export const TAG_FALSE = 2;
export const TAG_TRUE = 3;
export const TAG_HOLE = 4;
export const TAG_INT32 = 5;
export const TAG_FLOAT64 = 6;
export const TAG_BIGINT64 = 7;
export const TAG_BIGINT = 8;
export const TAG_STRING8 = 9;
export const TAG_STRING = 10;
export const TAG_STRING_WIDE = 11;
export const TAG_BYTES = 12;
export const TAG_VIEW = 13;
export const TAG_ARRAY = 14;
export const TAG_OBJECT = 15;
export const TAG_DATE = 16;
export const TAG_REGEXP = 17;
export const TAG_MAP = 18;
export const TAG_SET = 19;
export const TAG_ERROR = 20;
export const TAG_CLONED = 21;
export const TAG_REFERENCE = 22;
export const TAG_TRANSFER = 23;

type ViewConstructor = new (buffer: ArrayBuffer) => ArrayBufferView;

/** Kinds of a VIEW, by position; kind 0 is an ArrayBuffer. A Uint8Array or Buffer is BYTES. */
export const VIEW_CONSTRUCTORS: readonly (ViewConstructor | null)[] = [
  null,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];
