/** What an administrator sees of a pair. */
import { expect, test } from 'vitest';
import type { PairObject } from './cluster.ts';
import { age, pairList, pairTable } from './pair-table.ts';

const now = Date.parse('2026-11-23T12:05:00Z');
const at = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const condition = (type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: at(60),
});
const transition = {
  home: 'filer-a',
  kind: 'Takeover',
  cause: 'PartnerSaidSo',
  to: 'filer-b',
  epoch: 7,
  at: at(60),
  took: '143ms',
  phases: [
    { name: 'claim', at: '0ms', took: '12ms' },
    { name: 'verify', at: '12ms', took: '131ms' },
  ],
};

/** filer-a has just died; filer-b serves both. */
const pair: PairObject = {
  metadata: { name: 'home', namespace: 'storage' },
  spec: {},
  status: {
    owners: 'filer-a>filer-b filer-b',
    conditions: [
      condition('Ready', 'True', 'Serving', 'filer-b serves both.'),
      condition(
        'TakeoverPossible',
        'False',
        'PartnerNotRunning',
        'filer-a could not take over: it is started again.',
      ),
      condition('Degraded', 'True', 'ServerDown', 'filer-a does not run.'),
      condition('Progressing', 'False', 'Settled', 'Everything is as the spec wants it.'),
    ],
    servers: [
      { name: 'filer-a', state: 'Restarting', pod: 'home-filer-a-x7k2p', node: 'node-1', since: at(61) },
      { name: 'filer-b', state: 'Running', pod: 'home-filer-b-0c1d2', node: 'node-2', since: at(9000) },
    ],
    diskSets: [
      { home: 'filer-a', owner: 'filer-b', epoch: 7, phase: 'Serving', since: at(60) },
      { home: 'filer-b', owner: 'filer-b', epoch: 3, phase: 'Serving', since: at(9000) },
    ],
    history: [transition],
    lastTransition: transition,
    rollout: { state: 'Waiting', message: 'No server is touched now.', since: at(30) },
  },
};

test('a pair during an outage: the answers first, then who is where, then what happened', async () => {
  await expect(pairTable(pair, now)).toMatchFileSnapshot('golden/outage.txt');
});

test('all pairs, a line each, also one that the operator has not looked at', async () => {
  const fresh: PairObject = { metadata: { name: 'new', namespace: 'storage' }, spec: {} };
  await expect(pairList([pair, fresh], now)).toMatchFileSnapshot('golden/list.txt');
  expect(pairTable(fresh, now)).toContain('has not looked at it yet');
});

test.each([
  [5, '5s'],
  [119, '119s'],
  [120, '2m'],
  [7199, '119m'],
  [7200, '2h0m'],
  [47 * 3600 + 1800, '47h30m'],
  [5 * 86_400, '5d'],
])('%i s ago is %s', (seconds, text) => expect(age(at(seconds), now)).toBe(text));
