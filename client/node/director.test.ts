import { describe, expect, test } from 'vitest';
import {
  type DirectorInput,
  type DirectorState,
  type DirectorStep,
  INITIAL_DIRECTOR,
  socketAction,
  stepDirector,
} from './director.ts';

const A = { address: '10.0.0.1', port: 2049 };
const B = { address: '10.0.0.2', port: 2050 };

/** The last step of several. */
function after(...inputs: DirectorInput[]): DirectorStep {
  let step: DirectorStep = { state: INITIAL_DIRECTOR, effects: [] };
  for (const input of inputs) step = stepDirector(step.state, input);
  return step;
}
const kinds = ({ effects }: DirectorStep) => effects.map(({ kind }) => kind);
const found = (target: typeof A): DirectorInput => ({ kind: 'Found', target });
const LOST: DirectorInput = { kind: 'Lost' };

describe('the server is lost', () => {
  test('new connections wait, entries of the dead ones go, and half-closed sockets do not block', () => {
    const { state, effects } = after(found(A), LOST);
    expect(state.phase).toBe('hold');
    expect(effects).toEqual([
      { kind: 'Route', target: A, hold: true, forgive: false },
      { kind: 'ForgetServer' },
      { kind: 'MoveSockets', moved: false },
    ]);
  });

  test('a second loss before anybody is found changes nothing', () => {
    expect(after(found(A), LOST, LOST).effects).toEqual([]);
  });
});

describe('a server is found', () => {
  test('waiting connections are released last: what comes then must not be touched any more', () => {
    expect(kinds(after(found(A), LOST, found(B)))).toEqual(['Route', 'MoveSockets', 'Release']);
  });

  test('what is connected to another server is moved', () => {
    expect(after(found(A), found(B)).effects).toContainEqual({ kind: 'MoveSockets', moved: true });
  });

  test('what is connected stays when the same server is found again without having been lost', () => {
    expect(after(found(A), found(A)).effects).toContainEqual({ kind: 'MoveSockets', moved: false });
  });

  test('the same server after a loss: its connections have no entries any more, so they are made again', () => {
    expect(after(found(A), LOST, found(A)).effects).toContainEqual({ kind: 'MoveSockets', moved: true });
  });

  test('a diversion that is in force ends', () => {
    expect(after(found(A), LOST, found(B)).effects[0]).toEqual({
      kind: 'Route',
      target: B,
      hold: false,
      forgive: true,
    });
  });
});

describe('a director that is started again', () => {
  test('finds the server to which the rules send connections: nothing is moved', () => {
    const step = after({ kind: 'Resumed', target: A }, found(A));
    expect(step.effects).toContainEqual({ kind: 'MoveSockets', moved: false });
  });

  test('finds another one: connections are moved', () => {
    const step = after({ kind: 'Resumed', target: A }, found(B));
    expect(step.effects).toContainEqual({ kind: 'MoveSockets', moved: true });
  });

  test('finds nobody: what flows goes on flowing', () => {
    expect(after({ kind: 'Resumed', target: A }, LOST).effects).toEqual([]);
  });
});

describe('a connection comes to the holder though the server was not lost', () => {
  const serving = after(found(A)).state;
  const held = (state: DirectorState, atMs: number) => stepDirector(state, { kind: 'Held', atMs });
  const answered = (state: DirectorState, sentAtMs: number) =>
    stepDirector(state, { kind: 'Answered', sentAtMs });

  test('the server is asked at once', () => {
    expect(kinds(held(serving, 100))).toEqual(['Ask']);
  });

  test('an answer to what was asked after it came proves that the server is well: it is released', () => {
    const step = answered(held(serving, 100).state, 101);
    expect(kinds(step)).toEqual(['Route', 'Release']);
    expect(step.state.heldAtMs).toBeNull();
  });

  test('an answer to what was asked before it came proves nothing: it may be older than the end', () => {
    const step = answered(held(serving, 100).state, 99);
    expect(kinds(step)).toEqual(['Ask']);
    expect(step.state.heldAtMs).toBe(100);
  });

  test('while no server is found it just waits', () => {
    expect(held(after(found(A), LOST).state, 100).effects).toEqual([]);
  });
});

describe('the server is silent', () => {
  test('new connections wait, established ones stay: it may be only slow', () => {
    expect(after(found(A), { kind: 'Silent' }).effects).toEqual([
      { kind: 'Route', target: A, hold: true, forgive: false },
    ]);
  });

  test('it answers again: nothing is moved', () => {
    const step = after(found(A), { kind: 'Silent' }, { kind: 'Heard' });
    expect(step.effects).toEqual([
      { kind: 'Route', target: A, hold: false, forgive: true },
      { kind: 'MoveSockets', moved: false },
      { kind: 'Release' },
    ]);
  });

  test('the partner answers instead: everything is moved to it', () => {
    expect(after(found(A), { kind: 'Silent' }, found(B)).effects).toContainEqual({
      kind: 'MoveSockets',
      moved: true,
    });
  });

  test('a late answer does not bring a director back to a server that was lost', () => {
    expect(after(found(A), LOST, { kind: 'Heard' }).state.phase).toBe('hold');
    expect(after(found(A), LOST, { kind: 'Answered', sentAtMs: 1 }).effects).toEqual([]);
  });
});

describe('what happens to a socket', () => {
  test('one at the holder is left to it', () => {
    expect(socketAction('ESTABLISHED', true, true)).toBe('leave');
  });

  test('a connection request is not destroyed, since the next would come after three seconds', () => {
    expect(socketAction('SYN_SENT', false, true)).toBe('deleteEntry');
    expect(socketAction('SYN_SENT', false, false)).toBe('deleteEntry');
  });

  test('an established one is destroyed only if its server is not the one that serves', () => {
    expect(socketAction('ESTABLISHED', false, true)).toBe('destroy');
    expect(socketAction('ESTABLISHED', false, false)).toBe('leave');
  });

  test('a half-closed one is always destroyed: its FIN may stay unanswered', () => {
    for (const state of ['FIN_WAIT1', 'FIN_WAIT2', 'CLOSE_WAIT', 'LAST_ACK', 'CLOSING'] as const)
      expect(socketAction(state, false, false)).toBe('destroy');
  });

  test('one that has ended is left', () => {
    expect(socketAction('TIME_WAIT', false, true)).toBe('leave');
  });
});

describe('whatever happens', () => {
  /** Small numbers that look random, the same in every run. */
  function* numbers(seed: number): Generator<number, never> {
    for (let state = seed; ; ) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      yield state >>> 8;
    }
  }
  const INPUTS: readonly ((time: number) => DirectorInput)[] = [
    () => found(A),
    () => found(B),
    () => LOST,
    () => ({ kind: 'Silent' }),
    () => ({ kind: 'Heard' }),
    (time) => ({ kind: 'Held', atMs: time }),
    (time) => ({ kind: 'Answered', sentAtMs: time - 2 }),
    () => ({ kind: 'Resumed', target: B }),
  ];

  test('the rules say what the director thinks, a release comes last, and nothing is moved without a server', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = numbers(seed);
      let state = INITIAL_DIRECTOR;
      let route: { target: unknown; hold: boolean } | null = null;
      for (let time = 0; time < 40; time++) {
        const input = INPUTS[random.next().value % INPUTS.length]!(time);
        const step = stepDirector(state, input);
        state = step.state;
        for (const [index, effect] of step.effects.entries()) {
          if (effect.kind === 'Route') route = { target: effect.target, hold: effect.hold };
          if (effect.kind === 'Release') {
            expect(index).toBe(step.effects.length - 1);
            expect(route).toEqual({ target: state.target, hold: false });
          }
          if (effect.kind === 'MoveSockets' && effect.moved) expect(state.phase).toBe('serve');
        }
        if (state.phase === 'serve') expect(route).toEqual({ target: state.target, hold: false });
        if (state.phase === 'hold' || state.phase === 'doubt') expect(route?.hold).toBe(true);
      }
    }
  });
});
