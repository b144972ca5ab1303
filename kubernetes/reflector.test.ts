import type { ServerResponse } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { assertEventually } from '../testing/assert-eventually.ts';
import { failure, type HttpApi, json, type Seen, startHttpApi } from './http-api.fixture.ts';
import type { KubernetesObject } from './objects.ts';
import { type Change, Reflector } from './reflector.ts';
import { resources } from './resource.ts';

interface Thing extends KubernetesObject {
  readonly word?: string;
}
const thing = (name: string, resourceVersion: number, word?: string): Thing => ({
  metadata: { namespace: 'n', name, uid: `uid-${name}`, resourceVersion: String(resourceVersion) },
  ...(word === undefined ? {} : { word }),
});
const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

/** An API server whose lists and watches the test answers one after another. */
async function startScripted() {
  const lists: ((response: ServerResponse, seen: Seen) => void)[] = [];
  const watches: ((response: ServerResponse, seen: Seen) => void)[] = [];
  const unanswered: string[] = [];
  const asked: string[] = [];
  const store = { version: 9999 };
  const api = await startHttpApi((seen, response) => {
    // Only which version the store has now.
    if (seen.query.get('limit') === '1') {
      asked.push(seen.path);
      return json(response, 200, { metadata: { resourceVersion: String(store.version) }, items: [] });
    }
    const script = seen.query.has('watch') ? watches : lists;
    const next = script.shift();
    if (next) next(response, seen);
    // Nothing more in the script: a quiet watch.
    else if (script === watches) response.writeHead(200).flushHeaders();
    else unanswered.push(seen.path);
  });
  const changes: string[] = [];
  const reflector = new Reflector<Thing>({
    client: api.client,
    resource: resources.pods,
    namespace: 'n',
    labelSelector: 'filerpair.dev/pair',
    onChange: (change: Change<Thing>) =>
      changes.push(
        change.kind === 'deleted'
          ? `deleted ${change.previous.metadata.name}`
          : `${change.kind} ${change.object.metadata.name} ${change.object.word ?? ''}`.trim(),
      ),
    groupOf: ({ word }) => word ?? null,
    retryMsMin: 5,
    retryMsMax: 20,
    idleMsMax: 200,
  });
  return { api, lists, watches, reflector, changes, unanswered, asked, store };
}

let running: { api: HttpApi; reflector: Reflector<Thing> } | undefined;
afterEach(async () => {
  await running?.reflector.stop();
  await running?.api.close();
  running = undefined;
});
const scripted = async () => {
  const one = await startScripted();
  running = one;
  return one;
};
const list =
  (resourceVersion: number, ...items: Thing[]) =>
  (response: ServerResponse) =>
    json(response, 200, { metadata: { resourceVersion: String(resourceVersion) }, items });
const watchesOf = (api: HttpApi) => api.seen.filter((one) => one.query.has('watch'));
const listsOf = (api: HttpApi) =>
  api.seen.filter((one) => !one.query.has('watch') && one.query.get('limit') !== '1');

test('lists, then watches from there with bookmarks', async () => {
  const { api, lists, watches, reflector, changes } = await scripted();
  lists.push(list(5, thing('a', 3)));
  watches.push((response) => {
    response.write(line('ADDED', thing('b', 6)) + line('MODIFIED', thing('a', 7, 'new')));
    response.write(line('DELETED', thing('b', 8)));
  });
  reflector.start();
  await reflector.whenListed();
  await assertEventually(() =>
    expect(changes).toEqual(['added a', 'added b', 'modified a new', 'deleted b']),
  );
  expect(reflector.get('n', 'a')?.word).toBe('new');
  expect(reflector.size).toBe(1);
  const watch = watchesOf(api)[0]!;
  expect(watch.query.get('resourceVersion')).toBe('5');
  expect(watch.query.get('allowWatchBookmarks')).toBe('true');
  expect(watch.query.get('labelSelector')).toBe('filerpair.dev/pair');
});

test('chunks cut at every byte, inside characters too, give the same events', async () => {
  const text = line('ADDED', thing('ä', 6, 'größer → 🗄️')) + line('MODIFIED', thing('ä', 7, 'kleiner'));
  const bytes = Buffer.from(text, 'utf8');
  for (const size of [1, 2, 3, 5, 7]) {
    const { lists, watches, reflector, changes, api } = await scripted();
    lists.push(list(5));
    watches.push((response) => {
      response.socket?.setNoDelay(true);
      for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size));
    });
    reflector.start();
    await assertEventually(() => expect(changes).toEqual(['added ä größer → 🗄️', 'modified ä kleiner']));
    await reflector.stop();
    await api.close();
    running = undefined;
  }
});

test('groups hold what they should after every kind of change', async () => {
  const { lists, watches, reflector, changes } = await scripted();
  const grouped = (word: string) => reflector.inGroup(word).map(({ metadata }) => metadata.name);
  lists.push(list(9, thing('a', 1, 'red'), thing('b', 2, 'red'), thing('c', 3)));
  watches.push((response) => {
    response.writeHead(200);
    response.write(line('MODIFIED', thing('a', 10, 'blue')));
    response.write(line('DELETED', thing('b', 11, 'red')));
    response.write(line('MODIFIED', thing('c', 12, 'red')));
    response.end(line('ADDED', thing('d', 13, 'blue')));
  });
  const expired = Promise.withResolvers<void>();
  watches.push(async (response) => {
    await expired.promise;
    json(response, 410, failure(410, 'Expired', 'too old'));
  });
  lists.push(list(20, thing('c', 12, 'red'), thing('d', 15)));
  reflector.start();
  await assertEventually(() => expect(changes).toContain('added d blue'));
  expect(grouped('red')).toEqual(['c']);
  expect(grouped('blue')).toEqual(['a', 'd']);
  expired.resolve();
  await assertEventually(() => expect(changes).toContain('deleted a'));
  expect(grouped('red')).toEqual(['c']);
  expect(grouped('blue')).toEqual([]);
});

test('a dropped connection is resumed after the last event, a half-sent one included, without a list', async () => {
  const { api, lists, watches, reflector, changes } = await scripted();
  lists.push(list(5));
  watches.push((response) => {
    response.write(line('ADDED', thing('a', 6)) + line('ADDED', thing('b', 7)).slice(0, 20));
    setImmediate(() => response.socket?.resetAndDestroy());
  });
  watches.push((response) => response.write(line('ADDED', thing('b', 7))));
  reflector.start();
  await assertEventually(() => expect(changes).toEqual(['added a', 'added b']));
  expect(watchesOf(api).map((one) => one.query.get('resourceVersion'))).toEqual(['5', '6']);
  expect(listsOf(api)).toHaveLength(1);
});

test('a watch that the server ends is resumed from the last bookmark', async () => {
  const { api, lists, watches, reflector } = await scripted();
  lists.push(list(5));
  watches.push((response) =>
    response.end(line('BOOKMARK', { metadata: { resourceVersion: '4711' }, kind: 'Pod' })),
  );
  reflector.start();
  await assertEventually(() => expect(watchesOf(api)).toHaveLength(2));
  expect(watchesOf(api)[1]!.query.get('resourceVersion')).toBe('4711');
  expect(listsOf(api)).toHaveLength(1);
});

test('a first list that breaks off between two pages is made anew: what is gone by then does not stay', async () => {
  const { lists, reflector, changes } = await scripted();
  const begun: boolean[] = [];
  lists.push((response) =>
    json(response, 200, {
      metadata: { resourceVersion: '5', continue: 'next' },
      items: [thing('a', 3), thing('b', 4)],
    }),
  );
  lists.push((response) => {
    begun.push(reflector.listed);
    json(response, 410, failure(410, 'Expired', 'the continue parameter is too old'));
  });
  lists.push(list(9, thing('b', 4), thing('c', 8)));
  reflector.start();
  await reflector.whenListed();
  expect(begun).toEqual([false]);
  expect(changes).toEqual(['added a', 'added b', 'added c', 'deleted a']);
  expect([...reflector.values()].map(({ metadata }) => metadata.name)).toEqual(['b', 'c']);
});

test.each([
  [
    'inside the stream',
    (response: ServerResponse) => response.write(line('ERROR', failure(410, 'Expired', 'too old'))),
  ],
  ['as HTTP status', (response: ServerResponse) => json(response, 410, failure(410, 'Expired', 'too old'))],
])('410 %s: lists again and reports the differences, deletions included', async (_, gone) => {
  const { api, lists, watches, reflector, changes } = await scripted();
  lists.push(list(5, thing('a', 3), thing('b', 4), thing('c', 5)));
  lists.push(list(50, thing('a', 3), thing('c', 44, 'new'), thing('d', 45)));
  watches.push(gone);
  reflector.start();
  await assertEventually(() =>
    expect(changes).toEqual(['added a', 'added b', 'added c', 'modified c new', 'added d', 'deleted b']),
  );
  await assertEventually(() => expect(watchesOf(api)).toHaveLength(2));
  expect(watchesOf(api)[1]!.query.get('resourceVersion')).toBe('50');
});

test('a silent connection counts as dead and is replaced', async () => {
  const { api, lists, watches, reflector, changes } = await scripted();
  lists.push(list(5));
  watches.push((response) => response.writeHead(200).flushHeaders());
  watches.push((response) => response.write(line('ADDED', thing('a', 6))));
  reflector.start();
  await assertEventually(() => expect(changes).toEqual(['added a']));
  expect(watchesOf(api).length).toBeGreaterThanOrEqual(2);
});

test.each([
  [
    'is broken off',
    (response: ServerResponse) => {
      response.writeHead(200).flushHeaders();
      setImmediate(() => response.socket?.resetAndDestroy());
    },
  ],
  ['ends before its time, since the server ends it', (response: ServerResponse) => response.end()],
  ['is silent', (response: ServerResponse) => response.writeHead(200).flushHeaders()],
])('a watch that %s after etcd was restored: lists again, since no watch would tell', async (_, end) => {
  const { api, lists, watches, reflector, changes, store } = await scripted();
  lists.push(list(500, thing('a', 300, 'later'), thing('b', 400), thing('c', 450, 'one')));
  // The backup is older than a's change, b was made after it, and c's version was given again since.
  lists.push(list(460, thing('a', 100, 'early'), thing('c', 450, 'another')));
  watches.push((response) => {
    store.version = 460;
    end(response);
  });
  reflector.start();
  await assertEventually(() =>
    expect(changes).toEqual([
      'added a later',
      'added b',
      'added c one',
      'modified a early',
      'modified c another',
      'deleted b',
    ]),
  );
  await assertEventually(() => expect(watchesOf(api).length).toBeGreaterThan(1));
  expect(watchesOf(api)[1]!.query.get('resourceVersion')).toBe('460');
});

test('failures are told, waited out with growing pauses and at least as long as the API asks', async () => {
  const { lists, watches, reflector, api } = await scripted();
  const waits: number[] = [];
  await reflector.stop().catch(() => undefined);
  const patient = new Reflector<Thing>({
    client: api.client,
    resource: resources.pods,
    namespace: 'n',
    onError: (error, retryInMs) => {
      expect(error.message).toContain('pods');
      waits.push(retryInMs);
    },
    retryMsMin: 4,
    retryMsMax: 16,
    random: () => 1,
  });
  for (let i = 0; i < 4; i++) lists.push((response) => json(response, 500, failure(500, 'InternalError')));
  lists.push((response) => json(response, 429, failure(429, 'TooManyRequests'), { 'retry-after': '0.05' }));
  lists.push(list(5));
  watches.push((response) => response.writeHead(200).flushHeaders());
  patient.start();
  expect(patient.listed).toBe(false);
  await patient.whenListed();
  expect(waits).toEqual([4, 8, 16, 16, 50]);
  await assertEventually(() => expect(patient.lastError).toBeUndefined());
  await patient.stop();
});

test('a line that is no event ends the watch with an error instead of being lost', async () => {
  const { lists, watches, reflector, api } = await scripted();
  lists.push(list(5));
  watches.push((response) => response.write('{"type":"ADDED","object":{}}\n'));
  reflector.start();
  await assertEventually(() => expect(watchesOf(api).length).toBeGreaterThanOrEqual(2));
  expect(watchesOf(api)[1]!.query.get('resourceVersion')).toBe('5');
});

test('stop ends everything, also before the first list', async () => {
  const { reflector, unanswered } = await scripted();
  reflector.start();
  await assertEventually(() => expect(unanswered).toHaveLength(1));
  const listed = reflector.whenListed();
  await reflector.stop();
  await expect(listed).rejects.toThrow('was stopped');
});
