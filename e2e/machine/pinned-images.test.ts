/** What our images are built on has a digest in its name, or is an image of ours. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { publishedNode } from '../application/base-image.ts';
import { REPOSITORY } from '../environment.ts';

const directory = join(REPOSITORY, 'images');

test.each(readdirSync(directory).filter((name) => name.endsWith('Dockerfile')))('%s', (name) => {
  const text = readFileSync(join(directory, name), 'utf8');
  const values = Object.fromEntries(
    [...text.matchAll(/^ARG (\w+)(?:=(\S+))?$/gm)].map(([, variable, value]) => [variable, value]),
  );
  for (const [, from] of text.matchAll(/^FROM (\S+)/gm)) {
    const variable = /^\$\{(\w+)\}$/.exec(from!)?.[1];
    // Without a default it is the base image, which we build.
    if (variable === 'BASE_IMAGE') expect(values[variable]).toBeUndefined();
    else expect(variable === undefined ? from : values[variable]).toMatch(/@sha256:[0-9a-f]{64}$/);
  }
});

test('the base image is pulled as the Dockerfile names it', () => {
  expect(publishedNode(REPOSITORY)).toMatch(/^node:24-slim@sha256:/);
});
