export { DEFAULT_REQUEST_LIMITS, ParseStatus, type RequestLimits, RequestParser } from './parser.js';
export { type ProtocolVersion, type ReplySink, ReplyWriter } from './reply.js';
export { ReplyReader } from './reply-reader.js';
