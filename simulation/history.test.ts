import { expect, test } from 'vitest';
import { type Answer, type Operation, RegisterHistory } from './history.ts';

type Step =
  | readonly ['call', number, Operation]
  | readonly ['answer', number, Answer]
  /** The disk set is opened anew. */
  | readonly ['opened'];

/** The step at which the history stops being one story; -1: it is one. */
function firstContradiction(steps: readonly Step[]): number {
  const history = new RegisterHistory();
  return steps.findIndex((step) => {
    if (step[0] === 'answer') return !history.answered(step[1], step[2]);
    if (step[0] === 'call') history.called(step[1], step[2]);
    else history.interrupted();
    return false;
  });
}

const create = (id: number): Operation => ({ kind: 'create', id });
const remove: Operation = { kind: 'remove' };
const lookup: Operation = { kind: 'lookup' };
const ok: Answer = { kind: 'ok' };
const none: Answer = { kind: 'none' };
const exists: Answer = { kind: 'exists' };
const write = (data: number, stable = true): Operation => ({ kind: 'write', data, stable });
const read: Operation = { kind: 'read' };
const data = (is: number): Answer => ({ kind: 'data', data: is });
/** A file with contents 0, and a WRITE of 1 that has been seen and is not answered. */
const seen = (stable: boolean): readonly Step[] => [
  ['call', 1, create(7)],
  ['answer', 1, ok],
  ['call', 2, write(1, stable)],
  ['call', 3, read],
  ['answer', 3, data(1)],
];
/** And what it wrote is read again. */
const readsOld: readonly Step[] = [
  ['call', 6, read],
  ['answer', 6, data(1)],
];
const found = (id: number): Answer => ({ kind: 'found', id });

const cases: readonly [string, readonly Step[], contradiction: number][] = [
  [
    'one after the other',
    [
      ['call', 1, create(7)],
      ['answer', 1, ok],
      ['call', 2, lookup],
      ['answer', 2, found(7)],
    ],
    -1,
  ],
  [
    'an acknowledged create is lost',
    [
      ['call', 1, create(7)],
      ['answer', 1, ok],
      ['call', 2, lookup],
      ['answer', 2, none],
    ],
    3,
  ],
  [
    'a remove is undone',
    [
      ['call', 1, create(7)],
      ['answer', 1, ok],
      ['call', 2, remove],
      ['answer', 2, ok],
      ['call', 3, lookup],
      ['answer', 3, found(7)],
    ],
    5,
  ],
  [
    'a create is executed twice',
    [
      ['call', 1, create(7)],
      ['answer', 1, exists],
    ],
    1,
  ],
  [
    'two creates at once: one of them is first',
    [
      ['call', 1, create(7)],
      ['call', 2, create(8)],
      ['answer', 1, exists],
      ['answer', 2, ok],
    ],
    -1,
  ],
  [
    'two creates at once: both cannot succeed',
    [
      ['call', 1, create(7)],
      ['call', 2, create(8)],
      ['answer', 1, ok],
      ['answer', 2, ok],
    ],
    3,
  ],
  [
    'a call without an answer may have happened',
    [
      ['call', 1, create(7)],
      ['call', 2, lookup],
      ['answer', 2, found(7)],
    ],
    -1,
  ],
  [
    'or happen later',
    [
      ['call', 1, create(7)],
      ['call', 2, lookup],
      ['answer', 2, none],
      ['call', 3, lookup],
      ['answer', 3, found(7)],
    ],
    -1,
  ],
  [
    'but not be undone',
    [
      ['call', 1, create(7)],
      ['call', 2, lookup],
      ['answer', 2, found(7)],
      ['call', 3, lookup],
      ['answer', 3, none],
    ],
    4,
  ],
  [
    'a WRITE without an answer, not flushed, may be lost, and made again',
    [...seen(false), ['call', 4, read], ['answer', 4, data(0)], ['call', 5, read], ['answer', 5, data(1)]],
    -1,
  ],
  ['a flushed one may not', [...seen(true), ['call', 4, read], ['answer', 4, data(0)]], 6],
  [
    'nor what has been committed',
    [...seen(false), ['answer', 2, ok], ['call', 4, read], ['answer', 4, data(0)]],
    7,
  ],
  [
    'it is not made again over a later one by the same opening',
    [
      ...seen(true),
      ['call', 4, write(2)],
      ['answer', 4, ok],
      ['call', 5, read],
      ['answer', 5, data(2)],
      ...readsOld,
    ],
    10,
  ],
  [
    'but by the next one, which does not know it',
    [
      ...seen(true),
      ['opened'],
      ['call', 4, write(2)],
      ['answer', 4, ok],
      ['call', 5, read],
      ['answer', 5, data(2)],
      ...readsOld,
    ],
    -1,
  ],
  [
    'and not once it is answered',
    [...seen(true), ['opened'], ['answer', 2, ok], ['call', 4, write(2)], ['answer', 4, ok], ...readsOld],
    10,
  ],
];

test.each(cases)('%s', (_, steps, contradiction) => {
  expect(firstContradiction(steps)).toBe(contradiction);
});
