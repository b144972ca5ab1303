/** The lists of reasons against the code that gives them: each reason has a meaning, and none is listed that nothing gives. */

import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OpenFailure } from '../../fileserver/storage/volume/open-failure.ts';
import { NOT_SERVED, shareReasons, unplacedShareReasons } from '../../kubernetes/share-conditions.ts';
import { shareReasonMeanings } from '../share-reasons.ts';
import { diskSetReasons, openFailures, pairReasons, serverReasons } from './reasons.ts';
import { pairConditions } from './status.ts';

const root = new URL('../../', import.meta.url);
const sources = globSync('{operator,fileserver,pair}/**/*.ts', {
  cwd: root,
  exclude: (name) => /\.(test|fixture)\.ts$/.test(name),
}).map((file) => readFileSync(new URL(file, root), 'utf8'));
const listed = new Set(
  [pairReasons, serverReasons, diskSetReasons].flatMap((lists) =>
    Object.values(lists).flatMap((meanings) => Object.keys(meanings)),
  ),
);

test('every condition of a pair has a list', () => {
  expect(Object.keys(pairReasons)).toEqual([...pairConditions]);
});

test('what the operator gives is listed', () => {
  const given = sources.flatMap((text) =>
    [...text.matchAll(/\bis(?:True|False|Unknown)\(\s*'(\w+)'/g)].map(([, reason]) => reason!),
  );
  expect(given.length).toBeGreaterThan(50);
  expect([...new Set(given)].filter((reason) => !listed.has(reason))).toEqual([]);
});

test('what is listed is given somewhere', () => {
  const everything = sources.join('\n');
  const nowhere = [...listed].filter(
    (reason) => reason !== 'Pending' && !new RegExp(`['"]${reason}['"]|\\b${reason}: `).test(everything),
  );
  expect(nowhere).toEqual([]);
});

test('every reason for which a server cannot open a disk set is listed', () => {
  expect(Object.keys(openFailures)).toEqual([...Object.values(OpenFailure), 'CannotOpen']);
});

test('the reasons of shares have a meaning each, and no others are listed', () => {
  const { Accepted, Ready, DirectoryDeleted } = shareReasonMeanings;
  const byOperator = [...unplacedShareReasons, NOT_SERVED];
  const refused = shareReasons.Accepted.filter((one) => one !== 'Accepted');
  const names = (meanings: object | undefined) => Object.keys(meanings ?? {}).sort();
  expect(names(Accepted)).toEqual([...shareReasons.Accepted, ...byOperator].sort());
  expect(names(Ready)).toEqual([...shareReasons.Ready, ...refused, ...byOperator, 'Pending'].sort());
  expect(names(DirectoryDeleted)).toEqual([...shareReasons.DirectoryDeleted].sort());
});
