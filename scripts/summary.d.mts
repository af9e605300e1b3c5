export interface Summary {
  passed: number;
  failed: number;
  skippedNames: string[];
}
export function summarize(
  report: {
    testResults: {
      name: string;
      status: string;
      assertionResults: { fullName: string; status: string }[];
    }[];
  },
  exitCode: number,
): Summary;
export function closingLine(summary: Summary): string;
