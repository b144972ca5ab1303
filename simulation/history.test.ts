import { expect, test } from 'vitest';
import { type Answer, type Operation, RegisterHistory } from './history.ts';

type Step = readonly ['call', number, Operation] | readonly ['answer', number, Answer];

/** The step at which the history stops being one story; -1: it is one. */
function firstContradiction(steps: readonly Step[]): number {
  const history = new RegisterHistory();
  return steps.findIndex((step) => {
    if (step[0] === 'answer') return !history.answered(step[1], step[2]);
    history.called(step[1], step[2]);
    return false;
  });
}

const create = (id: number): Operation => ({ kind: 'create', id });
const remove: Operation = { kind: 'remove' };
const lookup: Operation = { kind: 'lookup' };
const ok: Answer = { kind: 'ok' };
const none: Answer = { kind: 'none' };
const exists: Answer = { kind: 'exists' };
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
];

test.each(cases)('%s', (_, steps, contradiction) => {
  expect(firstContradiction(steps)).toBe(contradiction);
});
