import { expect, it } from 'vitest';
import { ConfigError, parseConfig } from './config.ts';

const diskSet = (name: string) => ({
  volumes: [{ name: 'data', path: `/volumes/${name}/data` }],
  exports: [{ path: '/home', volume: 'data', clients: ['10.0.0.0/8'] }],
});
const valid = {
  pair: 'home',
  server: 'filer-a',
  partner: 'filer-b',
  partnerAddress: { host: 'filer-b-interconnect' },
  runDir: '/run/filerpair',
  tls: { directory: '/etc/filerpair/tls', name: 'filer-a.n.svc', partnerName: 'filer-b.n.svc' },
  witness: { kind: 'embedded', directory: '/var/lib/filerpair' },
  diskSets: { 'filer-a': diskSet('filer-a'), 'filer-b': diskSet('filer-b') },
};
const kubernetes = {
  kind: 'kubernetes',
  namespace: 'storage',
  leases: { 'filer-a': 'home-filer-a', 'filer-b': 'home-filer-b' },
};

function parse(changes: object): ReturnType<typeof parseConfig> {
  return parseConfig(JSON.stringify({ ...valid, ...changes }), 'server.json');
}

function errorOf(changes: object): string {
  try {
    parse(changes);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('accepted');
}

it('fills in what an administrator would leave out', () => {
  expect(parse({})).toMatchObject({
    listen: { host: '0.0.0.0', primary: 2049, secondary: 2050, interconnect: 7420, metrics: 9090 },
    partnerAddress: { interconnect: 7420 },
    timing: { leaseMs: 2000, guardMs: 500, heartbeatMs: 200 },
    log: { level: 'info', format: 'json' },
    diskSets: { 'filer-a': { exports: [{ access: 'ReadWrite', squash: 'Root', anonymousUid: 65_534 }] } },
  });
  expect(parse({ witness: kubernetes }).witness).toEqual(kubernetes);
});

it('takes exports or the FilerShares of a pair, and not both', () => {
  const without = (name: string) => ({ volumes: diskSet(name).volumes });
  const diskSets = { 'filer-a': without('filer-a'), 'filer-b': without('filer-b') };
  const shares = { pair: 'nas', serviceNames: { 'filer-a': 'nas-a' } };
  expect(parse({ diskSets, shares, witness: kubernetes })).toMatchObject({ shares, diskSets });
  expect(errorOf({ shares, witness: kubernetes })).toContain(
    'server.json: diskSets.filer-a.exports must be absent, as there is `shares`',
  );
  expect(errorOf({ diskSets })).toContain('server.json: diskSets.filer-a.exports is missing');
  expect(errorOf({ diskSets, shares })).toContain('shares needs witness.kind "kubernetes"');
});

it.each([
  [{ server: undefined }, 'server.json: server is missing.'],
  [{ partner: 'filer-a' }, 'server.json: partner is "filer-a", like server: a pair is two servers'],
  [{ server: 'Filer A' }, 'server.json: server must be a DNS label: lower-case letters, digits and "-"'],
  [{ runDir: 'run' }, 'server.json: runDir must be an absolute path.'],
  [{ runDir: `/${'x'.repeat(100)}` }, 'server.json: runDir must be at most 90 characters long'],
  [
    { timing: { leaseMs: 500, heartbeatMs: 200 } },
    'server.json: timing.leaseMs is 500, and must be at least three heartbeats (3 x 200).',
  ],
  [
    { timing: { leaseMs: 100_000 } },
    'server.json: timing.guardMs is 500, and must be at least a twentieth of leaseMs (5000)',
  ],
  [{ timing: { leaseMs: '2s' } }, 'server.json: timing.leaseMs must be of type number'],
  [{ timing: { leaseMs: 1.5 } }, 'server.json: timing.leaseMs must be a whole number'],
  [{ listen: { primary: 70_000 } }, 'server.json: listen.primary must be at most 65535.'],
  [{ listen: { primary: 2049, secondary: 2049 } }, 'server.json: listen uses one port twice.'],
  [{ partnerAdress: {} }, 'server.json: partnerAdress is not known here: misspelt?'],
  [{ listen: { nfs: 1 } }, 'server.json: listen.nfs is not known here: misspelt?'],
  [{ witness: { kind: 'zookeeper' } }, 'server.json: witness.kind must be "embedded" or "kubernetes".'],
  [
    { witness: { ...kubernetes, leases: { 'filer-a': 'x' } } },
    'server.json: witness.leases.filer-b is missing: each disk set has a Lease.',
  ],
  [{ log: { level: 'loud' } }, 'server.json: log.level must be one of "error", "warn", "info", "debug".'],
  [
    { diskSets: { 'filer-a': diskSet('filer-a') } },
    'server.json: diskSets.filer-b is missing: both disk sets have to be described.',
  ],
  [
    { diskSets: { ...valid.diskSets, 'filer-c': diskSet('filer-c') } },
    'server.json: diskSets.filer-c is the disk set of neither filer-a nor filer-b.',
  ],
  [
    { diskSets: { ...valid.diskSets, 'filer-b': { volumes: [], exports: [] } } },
    'server.json: diskSets.filer-b.volumes must be at least 1 item(s) long.',
  ],
  [
    {
      diskSets: {
        ...valid.diskSets,
        'filer-b': { ...diskSet('x'), exports: [{ path: '/h', volume: 'dat' }] },
      },
    },
    'server.json: diskSets.filer-b.exports.0.volume is "dat", but filer-b has only "data".',
  ],
])('refuses %j in one sentence with field and reason', (changes, sentence) => {
  const message = errorOf(changes);
  expect(message.startsWith(sentence), message).toBe(true);
  expect(message).not.toContain('\n');
});

it('refuses text that is not JSON', () => {
  expect(() => parseConfig('{', 'server.json')).toThrow(/^server\.json is not JSON: /);
  expect(() => parseConfig('[]', 'server.json')).toThrow(ConfigError);
});
