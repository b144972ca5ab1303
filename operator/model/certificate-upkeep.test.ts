/**
 * Years in the life of a pair's certificates, and that its servers trust each other all the time, although each learns of a
 * change when its kubelet tells it.
 */

import { expect, test } from 'vitest';
import { reconcileCredentials } from '../plan/credentials.ts';
import { spec, World } from '../plan/world.fixture.ts';
import { type AuthorityFacts, DAY, SETTLED_MS, type ServerCertificateFacts } from './certificate-upkeep.ts';
import type { ObservedCredentials } from './observed.ts';

const MINUTE = 60_000;

interface Moment {
  readonly at: number;
  readonly credentials: ObservedCredentials;
}

/** Lets time pass in steps, carries out what is decided, and remembers every state of the Secrets. */
class Life {
  readonly world = World.running();
  readonly done: string[] = [];
  moments: Moment[] = [];

  constructor() {
    this.#remember();
  }

  get secrets(): ObservedCredentials {
    return this.world.observed.credentials;
  }

  set secrets(secrets: ObservedCredentials) {
    this.world.observed.credentials = secrets;
    this.#remember();
  }

  pass(ms: number, stepMs: number): void {
    for (const end = this.world.now + ms; this.world.now < end; ) {
      this.world.now += Math.min(stepMs, end - this.world.now);
      for (let { actions } = reconcileCredentials(this.world.view()); actions.length > 0; ) {
        for (const action of actions) {
          this.world.carryOut(action);
          const name = 'object' in action ? action.object.metadata.name : action.name;
          this.done.push(`${action.kind} ${name}: ${action.why}`);
        }
        ({ actions } = reconcileCredentials(this.world.view()));
      }
      this.#remember();
    }
  }

  #remember(): void {
    const { now, observed } = this.world;
    if (this.moments.at(-1)?.credentials !== observed.credentials)
      this.moments.push({ at: now, credentials: observed.credentials });
  }

  /** Whether two servers, each with files that may be `SETTLED_MS` old, ever do not trust each other. */
  distrust(): string[] {
    return this.moments.flatMap(({ at, credentials }, index) => {
      const until = this.moments[index + 1]?.at ?? this.world.now;
      // The other may have seen everything that was so at some moment in the last minutes before this state ended.
      const others = this.moments.filter(
        (one, i) => one.at <= until && (this.moments[i + 1]?.at ?? Infinity) > at - SETTLED_MS + 2 * MINUTE,
      );
      return others.flatMap((other) =>
        (['a', 'b'] as const).flatMap((server) => {
          const mine = credentials.servers[server] as ServerCertificateFacts;
          const theirs = other.credentials.servers[server === 'a' ? 'b' : 'a'];
          if (typeof mine !== 'object' || typeof theirs !== 'object' || 'unusable' in theirs) return [];
          const trusted = theirs.trusts.some(({ fingerprint }) => fingerprint === mine.issuer);
          return trusted ? [] : [`${server} of ${at} is not trusted by the other of ${other.at}`];
        }),
      );
    });
  }
}

/** Until five minutes before its authority is replaced. */
function almostAYear(life: Life): void {
  life.pass(authority(life).newest.notAfter - 365 * DAY - 5 * MINUTE - life.world.now, 5 * DAY);
  life.done.length = 0;
  life.moments = life.moments.slice(-1);
}

const authority = (life: Life): AuthorityFacts => life.secrets.authority as AuthorityFacts;

test('certificates are renewed long before they end, by an authority that is kept', () => {
  const life = new Life();
  const { fingerprint } = authority(life).newest;
  life.pass(30 * DAY, DAY / 4);
  expect(life.done).toHaveLength(8);
  expect(new Set(life.done.map((line) => line.split(':')[0]))).toEqual(
    new Set(['issueCertificate home-a-tls', 'issueCertificate home-b-tls']),
  );
  expect(authority(life).newest.fingerprint).toBe(fingerprint);
});

test('an authority is replaced step by step, and nothing is used before everybody trusts it', () => {
  const life = new Life();
  almostAYear(life);
  life.pass(3600_000, MINUTE);
  expect(life.done.map((line) => line.replace(/ it ends .*| the present one ends .*/, ' …'))).toEqual([
    'makeAuthority home-interconnect-ca: …',
    'patch home-a-tls: the authorities of the pair have changed',
    'patch home-b-tls: the authorities of the pair have changed',
    'issueCertificate home-a-tls: both servers trust the new authority',
    'issueCertificate home-b-tls: both servers trust the new authority',
    'patch home-interconnect-ca: no server has a certificate of it any more',
    'patch home-a-tls: the authorities of the pair have changed',
    'patch home-b-tls: the authorities of the pair have changed',
  ]);
  expect(life.distrust()).toEqual([]);
});

test.each([
  ['authority', { authority: 'absent' as const }],
  ['authority, by garbage', { authority: { unusable: '7' } }],
])('a lost %s is replaced without parting the servers', (_, lost) => {
  const life = new Life();
  life.pass(DAY, DAY / 4);
  const { fingerprint } = authority(life).newest;
  life.secrets = { ...life.secrets, ...lost };
  life.pass(3600_000, MINUTE);
  expect(authority(life)).toMatchObject({ previous: [] });
  expect(authority(life).newest.fingerprint).not.toBe(fingerprint);
  const issuers = Object.values(life.secrets.servers).map((one) => (one as ServerCertificateFacts).issuer);
  expect(new Set(issuers)).toEqual(new Set([authority(life).newest.fingerprint]));
  expect(life.distrust()).toEqual([]);
});

test('a lost certificate is issued again at any moment of a change of authority, and nobody is parted', () => {
  for (let after = 0; after < 40; after += 6) {
    const life = new Life();
    almostAYear(life);
    life.pass(after * MINUTE, MINUTE);
    const servers = { ...life.secrets.servers, a: 'absent' as const };
    life.secrets = { ...life.secrets, servers };
    life.pass(3600_000, MINUTE);
    expect(life.distrust(), `deleted after ${after} minutes`).toEqual([]);
    expect(authority(life).previous).toEqual([]);
    expect(life.secrets.servers['a']).toMatchObject({ issuer: authority(life).newest.fingerprint });
  }
});

test('what cannot be read is not missing: nothing is made, nothing is forgotten', () => {
  const life = new Life();
  life.secrets = { ...life.secrets, authority: 'unknown' };
  life.pass(DAY, DAY / 4);
  expect(life.done).toEqual([]);
  life.secrets = {
    ...life.secrets,
    authority: 'absent',
    servers: { a: 'unknown', b: 'unknown' },
  };
  life.pass(DAY, DAY / 4);
  expect(life.done).toEqual([]);
});

test('servers with certificates from elsewhere have the operator’s beside them, which it goes on issuing', () => {
  const [a, b] = spec.servers;
  const world = new World({
    ...spec,
    servers: [
      { ...a!, interconnectCertificateRef: { name: 'a' } },
      { ...b!, interconnectCertificateRef: { name: 'b' } },
    ],
    interconnect: { tls: { source: 'Secrets' } },
  });
  const offered = { a: 'offered', b: 'offered' } as const;
  world.observed.credentials = { ...world.observed.credentials, offered };
  world.begin();
  expect(world.observed.credentials.servers).toMatchObject({ a: {}, b: {} });
  const volume = (world.pod('a').spec!['volumes'] as { name: string; projected?: object }[]).find(
    ({ name }) => name === 'secret',
  );
  expect(volume?.projected).toMatchObject({
    sources: [
      { secret: { name: 'a' } },
      { secret: { name: 'home-a-tls', optional: true, items: [{ path: 'fallback/tls.crt' }, {}, {}] } },
    ],
  });
});
