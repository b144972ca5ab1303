import { expect, it } from 'vitest';
import { timelinePicture } from './picture.ts';

it('draws moments in order, at their part of the bar, and escapes what they say', () => {
  const picture = timelinePicture('demo', [
    {
      heading: 'a & b',
      moments: [
        { atMs: 100, text: 'answered', kind: 'Good' },
        { atMs: 0, text: '<killed>', kind: 'Bad' },
        { atMs: 50, text: 'owned' },
      ],
      result: 'a pause of 100 ms',
    },
  ]);
  const texts = [...picture.matchAll(/class="what"[^>]*>([^<]*)</g)].map(([, text]) => text);
  expect(texts).toEqual(['&lt;killed&gt;', 'owned', 'answered']);
  const dots = [...picture.matchAll(/<circle class="(\w+)" cx="(\d+)"/g)].map(([, kind, x]) => [
    kind,
    Number(x),
  ]);
  expect(dots).toEqual([
    ['bad', 100],
    ['dot', 260],
    ['good', 420],
  ]);
  expect(picture).toContain('a &amp; b');
});
