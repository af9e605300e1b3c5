export { ERRNO, errnoName, explainErrno } from './errno.js';
export {
  OutOfMemoryError,
  SunstarError,
  type SunstarErrorOptions,
  SystemError,
  systemError,
} from './errors.js';
export * from './reactor/index.js';
