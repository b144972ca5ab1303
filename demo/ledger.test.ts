import { describe, expect, it } from 'vitest';
import { LINE_SIZE, lineText } from '../client/cli/probe/numbered-line.ts';
import { Ledger } from './ledger.ts';

const file = (contents: string) => ({ kind: 'File', contents }) as const;

function written(): Ledger {
  const ledger = new Ledger('w');
  for (let i = 0; i < 3; i++) ledger.lineAcknowledged();
  ledger.done([['d', { kind: 'Directory' }]]);
  ledger.done([['d/new', file('x')]]);
  ledger.done([['d/kept', file('x')]], ['d/new']);
  ledger.done([['e', { kind: 'Directory' }]]);
  ledger.done([], ['e']);
  return ledger;
}

const LINES = [0, 1, 2].map((i) => lineText(i, 'w')).join('');
const FOUND = new Map<string, string | null>([
  ['d', null],
  ['d/kept', 'x'],
]);

describe('ledger', () => {
  it('has nothing to complain of when everything acknowledged is there and nothing else', () => {
    const ledger = written();
    expect(ledger.verify(FOUND, LINES)).toEqual([]);
    expect(ledger.acknowledged).toBe(8);
  });

  it('allows lines that were written but not acknowledged any more', () => {
    expect(written().verify(FOUND, LINES + lineText(3, 'w'))).toEqual([]);
  });

  it('finds a lost, a damaged and a misplaced line', () => {
    const lost = [{ kind: 'Lost', what: 'line 2' }];
    expect(written().verify(FOUND, LINES.slice(0, 2 * LINE_SIZE))).toEqual(lost);
    expect(written().verify(FOUND, `${LINES.slice(0, -2)}?\n`)).toEqual(lost);
    expect(written().verify(FOUND, lineText(0, 'w') + lineText(2, 'w') + lineText(1, 'w'))).toEqual([
      { kind: 'Lost', what: 'line 1' },
      { kind: 'Lost', what: 'line 2' },
    ]);
    expect(written().verify(FOUND, LINES.replaceAll('w line', 'v line')).length).toBe(3);
  });

  it('finds lost names and contents', () => {
    expect(written().verify(new Map([['d', null]]), LINES)).toEqual([{ kind: 'Lost', what: 'd/kept' }]);
    const other = new Map([...FOUND, ['d/kept', 'y']]);
    expect(written().verify(other, LINES)).toEqual([{ kind: 'Lost', what: 'd/kept holds other contents' }]);
  });

  it('finds what was made again after its removal, and what servers admit', () => {
    const again = new Map([...FOUND, ['e', null], ['d/new', 'x']]);
    expect(
      written()
        .verify(again, LINES)
        .map((each) => each.kind),
    ).toEqual(['ExecutedTwice', 'ExecutedTwice']);
    const ledger = written();
    ledger.answeredAsDone('MKDIR', 'f', 'NFS3ERR_EXIST');
    expect(ledger.verify(FOUND, LINES)).toEqual([
      { kind: 'ExecutedTwice', what: 'MKDIR f was answered NFS3ERR_EXIST' },
    ]);
  });

  it('gives every line the same size', () => {
    for (const number of [0, 9, 10, 123_456_789]) expect(lineText(number, 'writer-a').length).toBe(LINE_SIZE);
  });
});
