import { describe, expect, test } from 'vitest';
import {
  type Incarnation,
  incarnationOf,
  isEarlierRunOfMyContainer,
  parseIncarnation,
  serverOf,
  startedLater,
} from './incarnation.ts';

describe('the name of an incarnation', () => {
  test('is taken apart again', () => {
    const name = incarnationOf('filer-a', 'pod:1_x.y', 'run1');
    expect(parseIncarnation(name)).toBe(name);
    expect(serverOf(name)).toBe('filer-a');
  });

  test.each(['', 'a b', '-a', 'a/b', 'ä'])('is not built with the part "%s"', (part) => {
    expect(() => incarnationOf(part, 'pod', 'run')).toThrow(RangeError);
    expect(() => incarnationOf('filer-a', part, 'run')).toThrow(RangeError);
    expect(() => incarnationOf('filer-a', 'pod', part)).toThrow(RangeError);
  });

  test.each([
    '',
    'filer-a',
    'filer-a/pod',
    'filer-a/pod/run/more',
    'filer-a//run',
    'filer-a/p d/run',
    '/a/b',
  ])('is not read from "%s"', (text) => expect(parseIncarnation(text)).toBeNull());

  test('has 256 characters at most', () => {
    const ofLength = (length: number) => `filer-a/pod/${'r'.repeat(length - 'filer-a/pod/'.length)}`;
    expect(parseIncarnation(ofLength(256))).toBe(ofLength(256));
    expect(parseIncarnation(ofLength(257))).toBeNull();
  });
});

describe('the order of starts', () => {
  const started = (container: string, run: string): Incarnation => incarnationOf('filer-a', container, run);

  test('is that of the runs, whatever the containers are called', () => {
    const [earlier, later] = [started('pod-z', 'maa0.boot1'), started('pod-a', 'mzz0.boot0')];
    expect(startedLater(later, earlier)).toBe(true);
    expect(startedLater(earlier, later)).toBe(false);
  });

  test('is that of numbers: one digit more is later', () => {
    expect(startedLater(started('pod', '1000'), started('pod', 'zzz'))).toBe(true);
    expect(startedLater(started('pod', 'zzz'), started('pod', '1000'))).toBe(false);
  });

  test('puts none of two that started together after the other', () => {
    expect(startedLater(started('pod1', 'maa0'), started('pod2', 'maa0'))).toBe(false);
  });
});

test('no run is an earlier one of itself', () => {
  const me = incarnationOf('filer-a', 'pod', 'run1');
  expect(isEarlierRunOfMyContainer(me, me)).toBe(false);
  expect(isEarlierRunOfMyContainer(incarnationOf('filer-a', 'pod', 'run0'), me)).toBe(true);
});
