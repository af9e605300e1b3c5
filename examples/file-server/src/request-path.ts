/** The path of a request as segments below the root; null when no file may be named so. */
export function requestPath(target: string): string | null {
  const query = target.indexOf('?');
  const encoded = query < 0 ? target : target.slice(0, query);
  if (!encoded.startsWith('/')) return null;
  let path: string;
  try {
    path = decodeURIComponent(encoded);
  } catch {
    return null;
  }
  if (path.includes('\0')) return null;
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    // Refused and not resolved: an honest client resolves it itself. Names with a dot in front are not published.
    if (segment.startsWith('.')) return null;
    segments.push(segment);
  }
  if (path.endsWith('/')) segments.push('index.html');
  return segments.join('/');
}
