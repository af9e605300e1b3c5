import type { Fields, HttpRequest } from '@sunstar/example-http';
import fresh from 'fresh';
import parseRange from 'range-parser';
import type { OpenFile } from './open-file.js';

/** Which part of a file answers a request, and with what status. */
export interface Selection {
  readonly status: 200 | 206 | 304 | 412 | 416;
  readonly start: number;
  /** Bytes of the body; 0 for the last three. */
  readonly lengthBytes: number;
  readonly fields: Fields;
}

/** Decides by the conditions and the range of a request (RFC 9110, 13 and 14). Of several ranges none is served. */
export function select(request: Pick<HttpRequest, 'field'>, file: OpenFile): Selection {
  const { etag, lastModified, sizeBytes, fields: about, contentFields: typed } = file;
  const ifMatch = request.field('if-match');
  if (ifMatch !== undefined && !matches(ifMatch, etag)) {
    return { status: 412, start: 0, lengthBytes: 0, fields: about };
  }
  const conditions = {
    'if-none-match': request.field('if-none-match'),
    'if-modified-since': request.field('if-modified-since'),
    'cache-control': request.field('cache-control'),
  };
  if (fresh(conditions, { etag, 'last-modified': lastModified })) {
    return { status: 304, start: 0, lengthBytes: 0, fields: about };
  }
  const range = request.field('range');
  if (range !== undefined && rangeHolds(request.field('if-range'), file)) {
    const ranges = parseRange(sizeBytes, range, { combine: true });
    if (ranges === -1) {
      const fields = { ...about, 'Content-Range': `bytes */${sizeBytes}` };
      return { status: 416, start: 0, lengthBytes: 0, fields };
    }
    if (ranges !== -2 && ranges.length === 1 && ranges.type === 'bytes') {
      const [{ start, end }] = ranges;
      const fields = { ...typed, 'Content-Range': `bytes ${start}-${end}/${sizeBytes}` };
      return { status: 206, start, lengthBytes: end - start + 1, fields };
    }
  }
  return { status: 200, start: 0, lengthBytes: sizeBytes, fields: typed };
}

function matches(ifMatch: string, etag: string): boolean {
  return ifMatch === '*' || ifMatch.split(',').some((one) => one.trim() === etag);
}

/** If-Range: the client has a part of this very version. */
function rangeHolds(ifRange: string | undefined, file: OpenFile): boolean {
  return ifRange === undefined || ifRange === file.etag || ifRange === file.lastModified;
}
