import { expect, it } from 'vitest';
import { Transitions } from './transitions.ts';

const AT = '2026-11-23T04:00:00.000Z';

it('adds up the phases of a takeover, each beginning where the last one ended', () => {
  const transitions = new Transitions('filer-b', () => AT);
  transitions.traced('filer-a', { name: 'detected', cause: 'PartnerSaidSo', message: 'died' }, 1000);
  transitions.traced('filer-a', { name: 'claiming', epoch: 2, cause: 'PartnerSaidSo' }, 1001);
  transitions.traced('filer-a', { name: 'owned', epoch: 2, cause: 'PartnerSaidSo' }, 1012);
  transitions.opened('filer-a', [
    { name: 'verify', tookMs: 2 },
    { name: 'replay', tookMs: 3 },
    { name: 'listen', tookMs: 1 },
  ]);
  transitions.firstReply('filer-a', 1030);
  transitions.firstReply('filer-a', 1040);
  expect(transitions.last).toEqual({
    home: 'filer-a',
    kind: 'Takeover',
    cause: 'PartnerSaidSo',
    reason: 'died',
    epoch: 2,
    to: 'filer-b',
    at: AT,
    startedBootMs: 1000,
    phases: [
      { name: 'claim', atMs: 0, tookMs: 12 },
      { name: 'verify', atMs: 12, tookMs: 2 },
      { name: 'replay', atMs: 14, tookMs: 3 },
      { name: 'listen', atMs: 17, tookMs: 1 },
      { name: 'firstReply', atMs: 18, tookMs: 12 },
    ],
  });
});

it.each([
  ['filer-a', 'Silent', 'Takeover'],
  ['filer-a', 'Unowned', 'Takeover'],
  ['filer-b', 'Requested', 'Giveback'],
  ['filer-b', 'PartnerSaidSo', 'Giveback'],
  ['filer-b', 'Unowned', 'Start'],
  ['filer-b', 'Restarted', 'Start'],
] as const)('on filer-b, %s claimed for %s is a %s', (home, cause, kind) => {
  const transitions = new Transitions('filer-b', () => AT);
  transitions.traced(home, { name: 'owned', epoch: 1, cause }, 5);
  expect(transitions.of(home)?.kind).toBe(kind);
});

it('times a hand-over as its giver sees it', () => {
  const transitions = new Transitions('filer-b', () => AT);
  transitions.traced('filer-a', { name: 'quiescing', epoch: 2, to: 'filer-a', message: '' }, 100);
  transitions.closed('filer-a', 105);
  transitions.traced('filer-a', { name: 'released', epoch: 2, to: 'filer-a' }, 109);
  transitions.closed('filer-a', 300);
  expect(transitions.handoverOf('filer-a')).toMatchObject({
    to: 'filer-a',
    phases: [
      { name: 'quiesce', atMs: 0, tookMs: 5 },
      { name: 'release', atMs: 5, tookMs: 4 },
    ],
  });
});
