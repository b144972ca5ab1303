import { expect, test } from 'vitest';
import { readSettings } from './settings.ts';

test('needs only the file server’s image', () => {
  expect(readSettings({ FILESERVER_IMAGE: 'filerpair/fileserver:0.1.0' })).toMatchObject({
    IMAGE_PULL_POLICY: 'IfNotPresent',
    LEADER_ELECTION: 'true',
    HEALTH_PORT: 8080,
    PUBLISH_DNS: 'true',
  });
});

test.each([
  [{}, 'FILESERVER_IMAGE'],
  [{ FILESERVER_IMAGE: 'x', HEALTH_PORT: 'many' }, 'HEALTH_PORT'],
  [{ FILESERVER_IMAGE: 'x', IMAGE_PULL_POLICY: 'Sometimes' }, 'IMAGE_PULL_POLICY'],
])('names the variable that is wrong: %j', (environment, name) => {
  expect(readSettings(environment)).toContain(`environment variable ${name}: `);
});
