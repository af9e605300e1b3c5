import { describe, expect, it } from 'vitest';
import { ReplyWindow } from '../../src/server/reply-window.ts';

describe('ReplyWindow', () => {
  it('begins small, opens for small replies, and closes for a large one', () => {
    const window = new ReplyWindow(1_000_000);
    expect(window.size).toBe(16);
    for (let i = 0; i < 200; i++) window.arrived(10);
    expect(window.size).toBe(1024);
    window.arrived(300_000);
    expect(window.size).toBe(3);
    window.arrived(30_000_000);
    expect(window.size).toBe(1);
    for (let i = 0; i < 200; i++) window.arrived(5);
    expect(window.size).toBe(1024);
  });
});
