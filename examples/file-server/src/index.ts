export { FileService } from './file-service.js';
export type { FileServiceOptions } from './options.js';
