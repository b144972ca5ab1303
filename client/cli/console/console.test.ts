/** The console: what it says of a pair, that names cannot become markup, and who may read it. */
import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { DiskSetObject, PairObject } from '../pairs/cluster.ts';
import { stateOf } from './cluster-source.ts';
import { ConsoleServer } from './console-server.ts';
import { figuresBetween, partnerHeard, samplesOf, sessionsIn, volumesIn } from './metrics-text.ts';
import { inWords } from './picture.ts';
import type { ConsoleState } from './state.ts';
import { headline, view } from './view.ts';

const METRICS = (calls: number, slow: number) => `# HELP x y
filerpair_nfs_calls_total{disk_set="a",procedure="READ",result="OK"} ${calls}
filerpair_nfs_call_seconds_bucket{disk_set="a",procedure="READ",le="0.001"} ${calls - slow}
filerpair_nfs_call_seconds_bucket{disk_set="a",procedure="READ",le="0.002"} ${calls}
filerpair_nfs_call_seconds_bucket{disk_set="a",procedure="READ",le="+Inf"} ${calls}
filerpair_export_bytes_total{disk_set="a",volume="data",export="/home",direction="read"} ${calls * 4096}
filerpair_nfs_connections{disk_set="a"} 12
filerpair_volume_size_bytes{disk_set="a",volume="data"} 1000
filerpair_volume_available_bytes{disk_set="a",volume="data"} 250
filerpair_partner_connected 1
`;
const before = { atMs: 0, samples: samplesOf(METRICS(1000, 0)) };
const now = { atMs: 2000, samples: samplesOf(METRICS(1200, 100)) };

it('works out rates and percentiles between two readings, and nothing across a restart', () => {
  expect(figuresBetween(before, now, 'a')).toEqual({
    callsPerSecond: 100,
    readBytesPerSecond: 409_600,
    writtenBytesPerSecond: 0,
    medianMs: 1,
    p99Ms: expect.closeTo(1.98, 5),
  });
  expect(figuresBetween(now, { ...before, atMs: 4000 }, 'a')).toBeNull();
  expect(figuresBetween(undefined, now, 'a')).toBeNull();
  expect(sessionsIn(now, 'a')).toBe(12);
  expect(partnerHeard(now)).toBe(true);
  expect(volumesIn(now, 'a')).toEqual([{ name: 'data', sizeBytes: 1000, availableBytes: 250 }]);
  expect(samplesOf('x{a="q\\"\\\\"} 1')).toEqual([{ name: 'x', labels: { a: 'q"\\' }, value: 1 }]);
});

const condition = (type: string, status: string, reason: string) => ({
  type,
  status,
  reason,
  message: `${type} <says> so`,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const pair = {
  apiVersion: 'filerpair.dev/v1beta1',
  kind: 'FilerPair',
  metadata: { namespace: 'storage', name: 'nas' },
  spec: { servers: [{ name: 'a' }, { name: 'b' }], monitoring: { port: 9090 } },
  status: {
    conditions: [condition('Ready', 'True', 'Serving'), condition('Degraded', 'True', 'ServerDown')],
    servers: [
      { name: 'a', conditions: [condition('Running', 'False', 'Restarting')] },
      { name: 'b', node: 'node-2', conditions: [condition('Running', 'True', 'Running')] },
    ],
    diskSets: [
      { name: 'a', owner: 'b', epoch: 7, conditions: [condition('Served', 'True', 'Serving')] },
      { name: 'b', owner: 'b', epoch: 3, conditions: [condition('Served', 'True', 'Serving')] },
    ],
  },
} as unknown as PairObject;
const diskSet = {
  metadata: {},
  spec: { server: 'a' },
  status: {
    conditions: [],
    history: [
      {
        epoch: 7,
        kind: 'Takeover',
        cause: 'Silent',
        to: 'b',
        time: '2026-01-01T00:00:00Z',
        durationMilliseconds: 143,
        phases: [
          { name: 'claim', offsetMilliseconds: 0, durationMilliseconds: 12 },
          { name: 'listen', offsetMilliseconds: 12, durationMilliseconds: 131 },
        ],
      },
    ],
  },
} as unknown as DiskSetObject;
const state = stateOf(pair, [diskSet], new Map([['b', { before, now }]]), null);

describe('a pair of which one server is down', () => {
  it('is told in words: which server serves which disk set, and what is wrong', () => {
    expect(headline(state)).toBe('Everything is served; b serves a.');
    expect(inWords(state)).toBe(
      'Server a does not run: Restarting. Server b runs. b serves the disk set of a, its partner’s. b serves the disk set of b. The servers hear each other.',
    );
    expect(state.conditions.map(({ type, good }) => [type, good])).toEqual([
      ['Ready', true],
      ['Degraded', false],
    ]);
    expect(state.diskSets[0]).toMatchObject({ sessions: 12, figures: { callsPerSecond: 100 } });
  });

  it('has conditions, phases, figures and room on its page, and no markup from names', () => {
    const html = view({ ...state, title: '<script>alert(1)</script>' }, Date.parse('2026-01-01T01:00:00Z'));
    for (const text of [
      'Degraded &lt;says&gt; so',
      'claim',
      '131 ms',
      '60 min ago',
      '100',
      '75 %',
      '400.0 KiB',
    ])
      expect(html).toContain(text);
    expect(html).not.toContain('<script');
    expect(html).not.toContain('<says>');
  });
});

it('says that clients wait, and that a reading is old', () => {
  const waits = {
    ...state,
    diskSets: state.diskSets.map((set) => ({ ...set, served: false })),
    problem: 'old',
  };
  expect(headline(waits)).toBe('Clients of a and b wait.');
  expect(view(waits, 0)).toContain('role="alert">old');
});

describe('the server of the page', () => {
  let server: ConsoleServer | undefined;
  afterEach(() => server?.close());

  const ask = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<{ status: number; body: string; policy: string }>((resolve, reject) => {
      request(url, { method, headers }, (response) => {
        let body = '';
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode!,
            body,
            policy: String(response.headers['content-security-policy']),
          }),
        );
      })
        .on('error', reject)
        .end();
    });

  it('answers who has the random path, on this machine, to read', async () => {
    server = await ConsoleServer.listen(state, 0);
    const { url } = server;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\/$/);
    const { status, body, policy } = await ask(url);
    expect(status).toBe(200);
    expect(body).toContain('storage/nas');
    expect(policy).toContain("default-src 'none'");
    expect(body).not.toMatch(/(src|href)="(https?:)?\/\//);
    const { origin } = new URL(url);
    for (const path of ['/', '/x/', '/x/events', `/${'x'.repeat(32)}/`])
      expect((await ask(origin + path)).status).toBe(403);
    // A page elsewhere may make a name lead here; it does not know the path, and the name gives it away.
    expect((await ask(url, { host: 'evil.example' })).status).toBe(403);
    expect((await ask(url, {}, 'POST')).status).toBe(403);
    expect((await ask(`${url}script.js`)).status).toBe(200);
    expect((await ask(`${url}nothing`)).status).toBe(404);
  });

  it('tells those who watch what has changed', async () => {
    server = await ConsoleServer.listen(state, 0);
    const response = await fetch(`${server.url}events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let heard = '';
    const until = async (text: string) => {
      while (!heard.includes(text)) heard += (await reader.read()).value;
    };
    await until('b serves a');
    const home: ConsoleState = {
      ...state,
      diskSets: state.diskSets.map((set) => ({ ...set, owner: set.home })),
    };
    server.show(home);
    await until('each disk set by its own server');
    await reader.cancel();
  });
});
