import { afterEach, describe, expect, it } from 'vitest';
import { NFS3ERR_STALE } from '../../protocol/nfs3.ts';
import { AUTH_NONE_CREDENTIAL } from '../../protocol/rpc.ts';
import { eventually } from '../../testing/eventually.ts';
import { pause } from '../../testing/pause.ts';
import { DiskSetIdentity } from '../disk-set-identity.ts';
import { Resolver } from '../resolver.ts';
import { answer, ScriptedServer } from '../scripted-server.fixture.ts';
import { tcpAddress } from '../transport-address.ts';
import { type ServingPlace, ServingPort } from './serving-port.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});

interface Stage {
  readonly a: ScriptedServer;
  readonly b: ScriptedServer;
  readonly port: ServingPort;
  readonly identity: DiskSetIdentity;
  /** All changes that a subscriber was told. */
  readonly places: (ServingPlace | null)[];
}

async function stage(host = '127.0.0.1'): Promise<Stage> {
  const a = await ScriptedServer.create('open', host);
  const b = await ScriptedServer.create('closed');
  const identity = new DiskSetIdentity();
  const port = new ServingPort({
    endpoints: { primary: tcpAddress(host, a.port), secondary: tcpAddress('127.0.0.1', b.port) },
    resolver: new Resolver(),
    identity,
    attempts: { intervalMs: 2, intervalMsMax: 5 },
  });
  cleanUp.push(
    () => a.shut(),
    () => b.shut(),
    () => port.close(),
  );
  const places: (ServingPlace | null)[] = [];
  port.subscribe((place) => {
    expect(port.place).toEqual(place);
    places.push(place);
  });
  return { a, b, port, identity, places };
}

const told = (on: Stage, role: 'primary' | 'secondary') =>
  eventually(`served at the ${role} port`, 60_000, () => on.places.at(-1)?.role === role);

describe('the serving port of a disk set', () => {
  it('is told to each subscriber, with its address, through takeover and giveback', async () => {
    const on = await stage();
    await told(on, 'primary');
    const { a, b } = on;
    await a.shut();
    await b.open();
    await told(on, 'secondary');
    await b.shut();
    await a.open();
    await told(on, 'primary');
    const home = { role: 'primary', host: '127.0.0.1', port: a.port };
    const away = { role: 'secondary', host: '127.0.0.1', port: b.port };
    expect(on.places).toEqual([home, null, away, null, home]);
    expect(a.connections + b.connections).toBe(1);
  });

  it('has an IPv6 address without brackets', async () => {
    const on = await stage('::1');
    await told(on, 'primary');
    expect(on.port.place?.host).toBe('::1');
  });

  it.each(['doubt', 'ask'] as const)('moves when the server is silent after %s()', async (how) => {
    const on = await stage();
    await told(on, 'primary');
    on.a.onNull = () => {};
    on.a.refuse();
    await on.b.open();
    on.port[how]();
    await told(on, 'secondary');
  });

  it('is searched anew when others cannot connect there, though the connection of the finder is open', async () => {
    const on = await stage();
    await told(on, 'primary');
    on.a.refuse();
    await on.b.open();
    on.port.renew();
    await told(on, 'secondary');
  });

  it('stays where it is while the server answers, however often it is doubted', async () => {
    const on = await stage();
    await told(on, 'primary');
    const attempts = on.a.accepted.length;
    for (let i = 0; i < 20; i++) {
      on.port.doubt();
      await pause(20, 'doubts come one by one');
    }
    expect(on.places).toHaveLength(1);
    // Most of them waited for the one before.
    expect(on.a.accepted.length - attempts).toBeLessThan(10);
  });

  it('is never that of a server which serves other disks', async () => {
    const on = await stage();
    await told(on, 'primary');
    on.identity.mounted(Buffer.from('handle of the export'), AUTH_NONE_CREDENTIAL);
    on.b.onHolds = (call) => answer(call, Buffer.from([0, 0, 0, NFS3ERR_STALE]));
    await on.b.open();
    await on.a.shut();
    await eventually('the wrong server has been asked', 60_000, () => on.b.accepted.length > 2);
    expect(on.places.at(-1)).toBe(null);
    expect(on.port.describeFailure()).toContain('serves the disks of another server');
    await on.a.open();
    await told(on, 'primary');
  });
});
