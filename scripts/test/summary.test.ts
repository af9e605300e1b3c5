import { describe, expect, test } from 'vitest';
import { closingLine, summarize } from '../summary.mjs';

const file = (status: string, ...tests: [string, string][]) => ({
  name: 'some.test.ts',
  status,
  assertionResults: tests.map(([fullName, testStatus]) => ({ fullName, status: testStatus })),
});

describe('the closing line of a test run', () => {
  test('counts passed and failed tests and names the skipped ones', () => {
    const report = {
      testResults: [
        file('passed', ['a', 'passed'], ['b', 'skipped'], [' c', 'pending']),
        file('failed', ['d', 'failed'], ['e', 'passed']),
      ],
    };
    const summary = summarize(report, 1);
    expect(summary).toEqual({ passed: 2, failed: 1, skippedNames: ['b', 'c'] });
    expect(closingLine(summary)).toBe('2 passed, 1 failed, 2 skipped');
  });

  test('a file that cannot be loaded is a failure', () => {
    expect(summarize({ testResults: [file('failed'), file('passed', ['a', 'passed'])] }, 1).failed).toBe(1);
  });

  test('an error outside every test is a failure', () => {
    expect(summarize({ testResults: [file('passed', ['a', 'passed'])] }, 1)).toMatchObject({
      passed: 1,
      failed: 1,
    });
  });

  test('says nothing of skipped tests when there are none', () => {
    expect(closingLine(summarize({ testResults: [file('passed', ['a', 'passed'])] }, 0))).toBe(
      '1 passed, 0 failed',
    );
  });
});
