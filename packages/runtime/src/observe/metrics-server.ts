import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SunstarError } from '../errors.js';
import { PROMETHEUS_CONTENT_TYPE } from '../metrics/prometheus.js';
import type { MetricsEndpoint } from './options.js';

const MAX_CONNECTIONS = 16;
const MAX_HEADERS = 32;
const MAX_HEADER_BYTES = 8192;
const TIMEOUT_MS = 10_000;

/** Serves `GET /metrics` to Prometheus on the main thread. */
export class MetricsServer {
  readonly #server: Server;
  readonly #text: () => Promise<string>;
  #collecting: Promise<string> | undefined;
  #port = 0;

  private constructor(text: () => Promise<string>) {
    this.#text = text;
    const limits = {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: TIMEOUT_MS,
      headersTimeout: TIMEOUT_MS,
    };
    this.#server = createServer({ ...limits, keepAliveTimeout: TIMEOUT_MS }, (request, response) => {
      const answer = (status: number, type: string, body: string): void => {
        response.writeHead(status, { 'content-type': type }).end(request.method === 'HEAD' ? '' : body);
      };
      const [path] = (request.url ?? '').split('?');
      if (path !== '/metrics') return answer(404, 'text/plain', 'Metrics are at /metrics.\n');
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return answer(405, 'text/plain', 'Use GET.\n');
      this.#collect().then(
        (body) => answer(200, PROMETHEUS_CONTENT_TYPE, body),
        (error: Error) => answer(500, 'text/plain', `${error.message}\n`),
      );
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.maxHeadersCount = MAX_HEADERS;
    this.#server.setTimeout(TIMEOUT_MS);
    // A runtime that has ended does not stay for the sake of its metrics.
    this.#server.unref();
  }

  /** @throws SunstarError `SUNSTAR_METRICS_UNAVAILABLE` when it cannot listen there. */
  static async listen(
    endpoint: Required<MetricsEndpoint>,
    text: () => Promise<string>,
  ): Promise<MetricsServer> {
    const { host, port } = endpoint;
    const self = new MetricsServer(text);
    await new Promise<void>((resolve, reject) => {
      self.#server.once('error', (cause) => {
        const message = `The metrics cannot be served on ${host}:${port} (${cause.message}). Choose another \`metrics.port\`, or 0 for a free one.`;
        reject(new SunstarError('SUNSTAR_METRICS_UNAVAILABLE', message, { cause }));
      });
      self.#server.listen(port, host, resolve);
    });
    self.#port = (self.#server.address() as AddressInfo).port;
    return self;
  }

  get port(): number {
    return this.#port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Those who ask while the shards are being asked get the same answer. */
  #collect(): Promise<string> {
    this.#collecting ??= this.#text().finally(() => {
      this.#collecting = undefined;
    });
    return this.#collecting;
  }
}
