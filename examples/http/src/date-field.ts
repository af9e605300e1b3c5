let line = '';

/** The Date field, made anew when its second is over: to look at the clock for each response costs more than the rest of it. */
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
