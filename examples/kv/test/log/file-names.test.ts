import { describe, expect, it } from 'vitest';
import { planFiles } from '../../src/log/file-names.ts';

describe('planFiles', () => {
  it('begins with the newest base and the segments from its number on', () => {
    const names = ['log-9', 'log-10', 'base-8', 'base-9', 'log-7', 'log-8', 'LOCK', 'log-11'];
    const plan = planFiles(names);
    expect(plan).toMatchObject({ base: 9, segments: [9, 10, 11], missing: 0, unreachable: [] });
    expect([...plan.stale].sort()).toEqual(['base-8', 'log-7', 'log-8']);
  });

  it('takes a base alone, segments alone, and nothing', () => {
    expect(planFiles(['base-3'])).toMatchObject({ base: 3, segments: [], missing: 0 });
    expect(planFiles(['log-1', 'log-2'])).toMatchObject({ base: 0, segments: [1, 2], missing: 0 });
    expect(planFiles([])).toMatchObject({ base: 0, segments: [], missing: 0, stale: [] });
  });

  it('removes what a crash left unfinished, and touches nothing that is not ours', () => {
    const foreign = ['notes.tmp', 'log-1.damaged', 'log-01', 'base-', 'log-1.bak', 'base-x.tmp'];
    const plan = planFiles([...foreign, 'log-2.tmp', 'base-4.tmp', 'log-1']);
    expect(plan).toMatchObject({ base: 0, segments: [1] });
    expect([...plan.stale].sort()).toEqual(['base-4.tmp', 'log-2.tmp']);
  });

  it('notices a missing segment', () => {
    expect(planFiles(['log-1', 'log-3', 'log-4'])).toMatchObject({
      segments: [1],
      missing: 2,
      unreachable: ['log-3', 'log-4'],
    });
    expect(planFiles(['log-2'])).toMatchObject({ segments: [], missing: 1 });
    expect(planFiles(['base-2', 'log-3'])).toMatchObject({ base: 2, segments: [], missing: 2 });
  });
});
