import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServerProcess } from '../harness/server-process.js';

/** The port of nginx, which cannot choose one. */
const PORT = 16_390;

/**
 * nginx with one worker and sendfile, as a distribution configures it, on one CPU.
 *
 * @param prefix - Put in front of its command.
 */
export function startNginx(
  cpu: number,
  directory: string,
  root: string,
  host = '127.0.0.1',
  prefix: readonly string[] = [],
): Promise<ServerProcess> {
  const configuration = join(directory, 'nginx.conf');
  writeFileSync(
    configuration,
    `daemon off; master_process off; worker_processes 1; pid ${join(directory, 'nginx.pid')};
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path ${directory}; proxy_temp_path ${directory}; fastcgi_temp_path ${directory};
  uwsgi_temp_path ${directory}; scgi_temp_path ${directory};
  server { listen ${host}:${PORT}; root ${root}; }
}
`,
  );
  const command = [...prefix, 'nginx', '-p', directory, '-e', 'stderr', '-c', configuration];
  return ServerProcess.start(cpu, command, PORT, host, prefix);
}
