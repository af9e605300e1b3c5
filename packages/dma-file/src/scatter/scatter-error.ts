import { registerErrorClass, SunstarError } from '@sunstar/runtime';

/** Pages of a scattered write were not written. The others are. */
export class ScatterError extends SunstarError {
  /** Indexes of the pages that were not written, or in part; rising. */
  readonly failedPages: readonly number[];

  constructor(path: string, failedPages: readonly number[], pageCount: number, cause: unknown) {
    const shown = failedPages.slice(0, 8).join(', ') + (failedPages.length > 8 ? ', …' : '');
    super(
      'SUNSTAR_SCATTER_FAILED',
      `${failedPages.length} of ${pageCount} pages were not written to '${path}' (${shown}); the first cause is attached. ` +
        'The other pages are written. Write the failed ones again, or give up on the whole range.',
      { cause },
    );
    this.failedPages = failedPages;
  }
}

registerErrorClass(ScatterError);
