// The closing lines of a test run, from vitest's JSON report.

/**
 * Counts tests; a test file that could not even be loaded, or an error outside every test, counts as one failure,
 * so that "0 failed" is never printed for a run that failed.
 *
 * @param {{ testResults: { name: string, status: string, assertionResults: { fullName: string, status: string }[] }[] }} report
 * @param {number} exitCode of the test runner
 */
export function summarize(report, exitCode) {
  const summary = { passed: 0, failed: 0, skippedNames: [] };
  for (const file of report.testResults) {
    let failedHere = 0;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') summary.passed++;
      else if (test.status === 'failed') failedHere++;
      else summary.skippedNames.push(test.fullName.trim());
    }
    if (failedHere === 0 && file.status === 'failed') failedHere = 1;
    summary.failed += failedHere;
  }
  if (exitCode !== 0 && summary.failed === 0) summary.failed = 1;
  return summary;
}

export function closingLine({ passed, failed, skippedNames }) {
  const skipped = skippedNames.length > 0 ? `, ${skippedNames.length} skipped` : '';
  return `${passed} passed, ${failed} failed${skipped}`;
}
