/** Several instances against one API server that keeps one Lease by compare-and-swap, as the real one does. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { failure, type HttpApi, json, startHttpApi } from '../../kubernetes/http-api.fixture.ts';
import type { Lease } from '../../kubernetes/objects.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { type ElectionClock, LeaderElection } from './leader-election.ts';

const LEASE_MS = 15_000;
const RETRY_MS = 1_000;

/** Time passes when every instance that runs waits for it to pass, and then to the next moment at which one goes on. */
class VirtualClock implements ElectionClock {
  #at = 0;
  #running = 1;
  #waiting: { readonly at: number; readonly goOn: () => void }[] = [];

  now(): number {
    return this.#at;
  }

  pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const one = { at: this.#at + ms, goOn: resolve };
      signal.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((other) => other !== one);
        resolve();
      });
      this.#waiting.push(one);
      this.#next();
    });
  }

  pass(ms: number): void {
    this.#at += ms;
  }

  set running(count: number) {
    this.#running = count;
    this.#next();
  }

  #next(): void {
    if (this.#waiting.length < this.#running) return;
    const [first, ...others] = this.#waiting.toSorted((a, b) => a.at - b.at);
    this.#waiting = others;
    this.#at = Math.max(this.#at, first!.at);
    first!.goOn();
  }
}

let clock: VirtualClock;
let api: HttpApi;
let stored: Lease | null;
let version: number;
let broken: boolean;
const elections: LeaderElection[] = [];

beforeEach(async () => {
  clock = new VirtualClock();
  stored = null;
  version = 0;
  broken = false;
  api = await startHttpApi((seen, response) => {
    if (broken) return json(response, 503, failure(503, 'ServiceUnavailable'));
    const store = (lease: Lease): void => {
      version += 1;
      stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(version) } };
      json(response, 200, stored);
    };
    const sent = seen.body === '' ? null : (JSON.parse(seen.body) as Lease);
    if (seen.method === 'GET')
      return stored === null ? json(response, 404, failure(404, 'NotFound')) : json(response, 200, stored);
    if (seen.method === 'POST')
      return stored === null ? store(sent!) : json(response, 409, failure(409, 'AlreadyExists'));
    return sent!.metadata.resourceVersion === stored?.metadata.resourceVersion
      ? store(sent!)
      : json(response, 409, failure(409, 'Conflict'));
  });
});
afterEach(async () => {
  await Promise.all(elections.splice(0).map((one) => one.stop()));
  await api.close();
});

function candidate(identity: string): LeaderElection {
  const election = new LeaderElection({
    client: api.client,
    namespace: 'system',
    name: 'operator',
    identity,
    leaseMs: LEASE_MS,
    retryMs: RETRY_MS,
    onError: () => undefined,
    clock,
  });
  elections.push(election);
  return election;
}

describe('leader election', () => {
  test('of several candidates exactly one wins', async () => {
    clock.running = 3;
    const candidates = ['a', 'b', 'c'].map(candidate);
    const first = await Promise.race(candidates.map(async (one) => ((await one.win()) ? one : null)));
    expect(candidates.filter((one) => one.leading)).toEqual([first]);
  });

  test('a leader that renews keeps it for many times the lease', async () => {
    const [a, b] = [candidate('a'), candidate('b')];
    await a.win();
    clock.running = 2;
    const kept = a.keep();
    const won = b.win();
    await assertEventually(() => expect(clock.now()).toBeGreaterThan(3 * LEASE_MS));
    expect([a.leading, b.leading]).toEqual([true, false]);
    await a.stop();
    expect(await kept).toBe('stopped');
    clock.running = 1;
    expect(await won).toBe(true);
  });

  test('a leader that was frozen does not lead when it goes on, before anybody has told it', async () => {
    const a = candidate('a');
    await a.win();
    expect(a.leading).toBe(true);
    clock.pass(LEASE_MS);
    expect(a.leading).toBe(false);
  });

  test('a leader that stops hands over at once, without waiting for the lease to run out', async () => {
    const [a, b] = [candidate('a'), candidate('b')];
    await a.win();
    const won = b.win();
    await a.stop();
    const from = clock.now();
    expect(await won).toBe(true);
    expect(clock.now() - from).toBeLessThanOrEqual(RETRY_MS);
  });

  test('a leader that died is followed once its Lease was seen unchanged for the lease', async () => {
    await candidate('a').win();
    const b = candidate('b');
    expect(await b.win()).toBe(true);
    expect(stored?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 2 });
  });

  test('a leader that cannot renew gives up before another may take it', async () => {
    const a = candidate('a');
    await a.win();
    const from = clock.now();
    broken = true;
    expect(await a.keep()).toBe('lost');
    expect(a.leading).toBe(false);
    expect(clock.now() - from).toBeGreaterThan(LEASE_MS / 2);
    expect(clock.now() - from).toBeLessThan(LEASE_MS);
  });

  test('a leader that finds another name in the Lease gives up', async () => {
    const a = candidate('a');
    await a.win();
    version += 1;
    stored = {
      ...stored!,
      metadata: { ...stored!.metadata, resourceVersion: String(version) },
      spec: { holderIdentity: 'b' },
    };
    expect(await a.keep()).toBe('lost');
  });

  test('an API server that has gone back ends who leads and who waits, whichever writes first', async () => {
    const leader = candidate('a');
    expect(await leader.win()).toBe(true);
    const kept = leader.keep();
    clock.running = 2;
    const other = candidate('b');
    const waiting = other.win();
    await assertEventually(() => expect(version).toBeGreaterThan(4));
    const before = api.seen.length;
    await assertEventually(() => expect(api.seen.length).toBeGreaterThan(before + 4));
    version = 1;
    stored = { ...stored!, metadata: { ...stored!.metadata, resourceVersion: '1' } };
    clock.running = 1;
    expect(await kept).toBe('lost');
    expect(await waiting).toBe(false);
    expect([leader.wentBack, other.wentBack]).toEqual([true, true]);
    // Nor does who makes the Lease anew lead, where the backup is from before there was one.
    stored = { ...stored!, metadata: { ...stored!.metadata, resourceVersion: '7' } };
    const asked = api.seen.length;
    const third = candidate('d');
    const thirdWaits = third.win();
    await assertEventually(() => expect(api.seen.length).toBeGreaterThan(asked));
    version = 0;
    stored = null;
    expect(await thirdWaits).toBe(false);
    expect(third.leading).toBe(false);
    // The next process begins with what there is now.
    const next = candidate('c');
    expect(await next.win()).toBe(true);
    expect(next.wentBack).toBe(false);
  });
});
