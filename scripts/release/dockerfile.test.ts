import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDockerfile } from './dockerfile.ts';
import { ROOT } from './source.ts';

test('reads what an image of ours consists of', () => {
  const { settings, copied } = readDockerfile(
    [
      '# comment',
      'ARG BASE_IMAGE',
      'FROM base',
      'COPY package.json dist/packages.json /app/',
      'COPY dist/client/ /app/dist/client/',
      'WORKDIR /app',
      'ENV A=1 B=2',
      'USER 1000:1000',
      'ENTRYPOINT ["/usr/bin/tini", "--"]',
      'CMD ["node", \\',
      '  "main.js"]',
      'EXPOSE 2049 2050',
      '',
    ].join('\n'),
    ['PATH=/usr/bin'],
  );
  expect(copied).toEqual([
    { from: 'package.json', to: 'app/package.json' },
    { from: 'dist/packages.json', to: 'app/packages.json' },
    { from: 'dist/client', to: 'app/dist/client' },
  ]);
  expect(settings).toEqual({
    Env: ['PATH=/usr/bin', 'A=1', 'B=2'],
    User: '1000:1000',
    WorkingDir: '/app',
    Entrypoint: ['/usr/bin/tini', '--'],
    Cmd: ['node', 'main.js'],
    ExposedPorts: { '2049/tcp': {}, '2050/tcp': {} },
  });
});

test.each(['RUN true', 'COPY --chown=1 a /b', 'hello'])('refuses what it would have to guess: %s', (line) => {
  expect(() => readDockerfile(line, [])).toThrow();
});

test('every image that is released can be put together for other processors', () => {
  const images = join(ROOT, 'images');
  const released = readdirSync(images).filter((name) => /^(operator|fileserver)\.Dockerfile$/.test(name));
  expect(released).toHaveLength(2);
  for (const name of released)
    expect(readDockerfile(readFileSync(join(images, name), 'utf8'), []).settings.Entrypoint).not.toEqual([]);
});
