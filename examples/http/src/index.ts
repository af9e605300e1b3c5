export type { HttpRequest } from './http-request.js';
export type { BodyPart, Fields, HttpResponse } from './http-response.js';
export { HttpServer, serveHttp } from './http-server.js';
export type { HttpHandler, HttpOptions } from './options.js';
