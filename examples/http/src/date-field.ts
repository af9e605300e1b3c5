let line = '';

/** The Date field, made anew when its second is over: no response has to look at the clock. */
export function dateField(): string {
  if (line === '') {
    const nowMs = Date.now();
    line = `Date: ${new Date(nowMs).toUTCString()}\r\n`;
    setTimeout(forget, 1000 - (nowMs % 1000)).unref();
  }
  return line;
}

function forget(): void {
  line = '';
}
