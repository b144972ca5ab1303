import { describe, expect, it } from 'vitest';
import { afterFailure, isRefused, type Suspicion, suspect } from './refused-call.ts';
import { admits, afterAnswer, afterFruitless, OPEN_WINDOW, type ResendWindow } from './resend-window.ts';

const MIB = 1024 * 1024;

describe('the window', () => {
  it('limits nothing until a connection was fruitless', () => {
    expect(admits(OPEN_WINDOW, 1000 * MIB, MIB)).toBe(true);
    expect(afterAnswer(OPEN_WINDOW, MIB, 0)).toBe(OPEN_WINDOW);
  });

  it('admits one call after that, however large, and more with each answer, up to half of what was too much', () => {
    let window = afterFruitless(OPEN_WINDOW, 8 * MIB, 0);
    expect([admits(window, 0, 3 * MIB), admits(window, 1, 1)]).toEqual([true, false]);
    const sizes: number[] = [];
    for (let i = 0; i < 5; i++) {
      window = afterAnswer(window, MIB, 1000);
      sizes.push(window.size / MIB);
    }
    expect(sizes).toEqual([2, 3, 4, 4, 4]);
    expect(admits(window, 3 * MIB, MIB)).toBe(true);
    expect(admits(window, 3 * MIB, MIB + 1)).toBe(false);
  });

  it('is halved each time, and opens again when all goes well for long', () => {
    let window: ResendWindow = OPEN_WINDOW;
    for (const inFlight of [16, 16, 16]) window = afterFruitless(window, inFlight * MIB, 0);
    expect(window.sizeMax).toBe(2 * MIB);
    for (let now = 0; now <= 60_000; now += 100) window = afterAnswer(window, MIB, now);
    expect(window).toBe(OPEN_WINDOW);
  });

  it('keeps what is sent within twice the data and one call for each time that the patience doubles', () => {
    // A server that finishes `rate` bytes a second, and all that is on a connection is lost when it is replaced.
    for (const rate of [MIB / 8, MIB / 2, MIB, 4 * MIB]) {
      let doublings = 0;
      const data = 16 * MIB;
      let window: ResendWindow = OPEN_WINDOW;
      let done = 0;
      let sent = 0;
      let now = 0;
      let patience = 1000;
      while (done < data) {
        const batch = Math.min(data - done, Math.max(MIB, Math.min(window.size, 16 * MIB)));
        sent += Math.min(batch, data - done);
        // Answers come one by one; a freeze of `patience` before the next one replaces the connection.
        if ((MIB / rate) * 1000 > patience) {
          now += patience;
          patience *= 2;
          doublings += 1;
          window = afterFruitless(window, batch, now);
          continue;
        }
        for (let answered = 0; answered < batch; answered += MIB) {
          now += (MIB / rate) * 1000;
          window = afterAnswer(window, MIB, now);
        }
        done += batch;
      }
      expect(sent, `${rate} bytes/s`).toBeLessThanOrEqual(2 * data + doublings * MIB);
    }
  });
});

describe('a call that the server answers by closing', () => {
  it('is one that was alone on several connections in a row', () => {
    let suspicion: Suspicion | null = null;
    const verdicts: boolean[] = [];
    for (let i = 0; i < 5; i++) {
      suspicion = suspect(suspicion, 7, 'primary', i * 500);
      verdicts.push(isRefused(suspicion));
    }
    expect(verdicts).toEqual([false, false, false, false, true]);
  });

  it('is none that came by a server that restarts, nor one of several', () => {
    let suspicion: Suspicion | null = null;
    for (let i = 0; i < 20; i++) {
      suspicion = suspect(afterFailure(suspicion, 'primary'), 7, 'primary', i * 500);
      expect(isRefused(suspicion)).toBe(false);
      // The partner's port is closed nearly always.
      suspicion = afterFailure(suspicion, 'secondary');
      expect(suspicion).not.toBe(null);
    }
    for (let i = 0; i < 20; i++) {
      suspicion = suspect(suspicion, 7, 'primary', 60_000 + i * 11_000);
      expect(isRefused(suspicion)).toBe(false);
    }
    for (let i = 0; i < 20; i++) {
      suspicion = suspect(suspicion, i % 2, 'primary', 300_000 + i);
      expect(isRefused(suspicion)).toBe(false);
    }
    for (let i = 0; i < 20; i++) {
      suspicion = suspect(suspicion, 7, i % 2 === 0 ? 'primary' : 'secondary', 400_000 + i);
      expect(isRefused(suspicion)).toBe(false);
    }
  });
});
