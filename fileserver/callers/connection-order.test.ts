import { hash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { CONNECTIONS_MAX } from '../connection-limits/descriptor-budget.ts';
import { ConnectionOrder, type Place } from './connection-order.ts';

const CLIENT = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
const OTHER = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 9]);

let order: ConnectionOrder;
/** As another thread has it. */
let elsewhere: ConnectionOrder;

beforeEach(() => {
  order = new ConnectionOrder(ConnectionOrder.allocate());
  elsewhere = new ConnectionOrder(order.buffer);
});

test('a client that says where it is gives up its older connections, in all threads', () => {
  const [first, second, strange] = [1, 2, 3].map((number) => order.enter(number, '10.0.0.1', 1000 + number));
  order.announce(first!, CLIENT);
  elsewhere.announce(strange!, OTHER);
  expect(order.isCurrent(first!)).toBe(true);
  elsewhere.announce(second!, CLIENT);
  expect(order.isCurrent(first!)).toBe(false);
  expect(order.isCurrent(second!)).toBe(true);
  expect(order.isCurrent(strange!)).toBe(true);
});

test('what it says by the old connection after the new one gives up the old one', () => {
  const first = order.enter(1, '10.0.0.1', 1001);
  const second = order.enter(2, '10.0.0.1', 1002);
  elsewhere.announce(second, CLIENT);
  expect(order.isCurrent(first)).toBe(true);
  order.announce(first, CLIENT);
  expect(order.isCurrent(first)).toBe(false);
  expect(elsewhere.isCurrent(second)).toBe(true);
});

test('a client that names itself by zeros alone is nobody: it ends no connection of others', () => {
  const silent = order.enter(1, '10.0.0.1', 700);
  const attacker = order.enter(2, '10.0.0.66', 700);
  order.announce(attacker, new Uint8Array(8));
  expect(order.isCurrent(silent)).toBe(true);
  expect(order.isCurrent(attacker)).toBe(true);
  const places = [3, 4].map((number) => order.enter(number, '10.0.0.1', number));
  for (const place of places) order.announce(place, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1));
  expect(
    places.map((place) => order.isCurrent(place)),
    'a number that begins with zeros',
  ).toEqual([false, true]);
});

test('also when the new one has ended meanwhile', () => {
  const first = order.enter(1, '10.0.0.1', 1001);
  const second = order.enter(2, '10.0.0.1', 1002);
  order.announce(second, CLIENT);
  order.leave(second);
  order.announce(first, CLIENT);
  expect(order.isCurrent(first)).toBe(false);
});

test.each(['in that order', 'the younger one first'])('the same address and port, seen %s', (seen) => {
  const numbers = seen === 'in that order' ? [1, 2] : [2, 1];
  const places = numbers.map((number) => order.enter(number, '10.0.0.1', 700));
  const strangers = [order.enter(3, '10.0.0.2', 700), order.enter(4, '10.0.0.1', 701)];
  for (const place of places) expect(elsewhere.isCurrent(place)).toBe(place.number === 2);
  for (const place of strangers) expect(elsewhere.isCurrent(place)).toBe(true);
});

test('a place that is given to somebody else is no more that of the one before', () => {
  const first = order.enter(1, '10.0.0.1', 1);
  order.leave(first);
  for (let number = 2; number <= CONNECTIONS_MAX + 1; number++) order.enter(number, '10.0.0.2', number);
  expect(order.isCurrent(first)).toBe(false);
});

test('with more connections than places the rest is served, and never given up', () => {
  const places = Array.from({ length: CONNECTIONS_MAX + 3 }, (_, index) =>
    order.enter(index + 1, '10.0.0.1', index),
  );
  const rest = places.slice(CONNECTIONS_MAX);
  for (const place of rest) {
    order.announce(place, CLIENT);
    expect(place.place).toBe(-1);
    expect(order.isCurrent(place)).toBe(true);
    order.leave(place);
  }
  expect(places.every((place) => order.isCurrent(place))).toBe(true);
});

test('where an address lies depends on a secret of each server', () => {
  const other = new ConnectionOrder(ConnectionOrder.allocate());
  expect(other.enter(1, '10.0.0.1', 700).address).not.toBe(order.enter(1, '10.0.0.1', 700).address);
});

test('clients are told apart by all of their number', () => {
  const places = [1, 2, 3].map((number) => order.enter(number, '10.0.0.1', number));
  order.announce(places[0]!, CLIENT);
  order.announce(places[1]!, OTHER);
  order.announce(places[2]!, Uint8Array.of(9, 2, 3, 4, 5, 6, 7, 8));
  expect(places.map((place) => order.isCurrent(place))).toEqual([true, true, true]);
});

test('a connection that is accepted after a younger one of its address and port has come and gone is given up', () => {
  order.leave(order.enter(2, '10.0.0.1', 700));
  expect(order.isCurrent(order.enter(1, '10.0.0.1', 700))).toBe(false);
});

describe('with all places taken but one that is given back', () => {
  const full = (): Place[] =>
    Array.from({ length: CONNECTIONS_MAX }, (_, index) => order.enter(100 + index, '10.0.0.1', index));

  test('the next connection has nothing of the one before: neither its number nor its client', () => {
    for (const client of [
      CLIENT,
      Uint8Array.of(0, 0, 0, 0, 5, 6, 7, 8),
      Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0),
    ]) {
      order = new ConnectionOrder(ConnectionOrder.allocate());
      const [first, second] = full();
      order.announce(first!, client);
      order.leave(first!);
      const next = order.enter(1, '10.0.0.2', 1);
      expect(next.place).toBe(first!.place);
      expect(order.isCurrent(next)).toBe(true);
      order.announce(second!, client);
      expect(order.isCurrent(next)).toBe(true);
    }
  });

  test('the first place is one like the others', () => {
    const places = full();
    const first = places.find(({ place }) => place === 0)!;
    const last = places.findLast(({ place }) => place !== 0)!;
    order.announce(first, CLIENT);
    order.announce(last, CLIENT);
    expect([order.isCurrent(first), order.isCurrent(last)]).toEqual([
      first.number > last.number,
      last.number > first.number,
    ]);
    order.leave(first);
    expect(order.enter(1, '10.0.0.2', 1).place).toBe(0);
  });
});

test('no two addresses of a crowd are taken for one', () => {
  const places = Array.from({ length: 10_000 }, (_, index) =>
    order.enter(index + 1, `10.0.${index >> 8}.${index & 255}`, 600 + (index % 400)),
  );
  expect(places.filter((place) => !order.isCurrent(place))).toEqual([]);
});

test('no two addresses are taken for one whose hashes begin alike', () => {
  const secretless = new ConnectionOrder(new SharedArrayBuffer(ConnectionOrder.allocate().byteLength));
  const known = new Map<number, number>();
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0; i < 500_000 && pairs.length < 3; i++) {
    const word = hash('sha256', `0 0 0 0 ${i >> 6} ${i & 63}`, 'buffer').readInt32LE() | 1;
    const before = known.get(word);
    if (before === undefined) known.set(word, i);
    else pairs.push([before, i]);
  }
  expect(pairs.length).toBeGreaterThan(0);
  for (const [index, pair] of pairs.entries()) {
    const [first, second] = pair.map((i, n) => secretless.enter(2 * index + n + 1, `${i >> 6}`, i & 63));
    expect([first, second].map((place) => secretless.isCurrent(place!))).toEqual([true, true]);
  }
});

/** FNV-1a as it was here, which anybody can compute. */
function publicHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 1;
}

test('nobody can choose an address and port for which somebody else’s connection is taken as given up', () => {
  const known = new Map<number, readonly [string, number]>();
  const pairs: (readonly [readonly [string, number], readonly [string, number]])[] = [];
  for (let i = 0; i < 300_000 && pairs.length < 5; i++) {
    const ends = [`fd00::${(i >> 6).toString(16)}`, 1000 + (i & 63)] as const;
    const hash = publicHash(ends.join(' '));
    const before = known.get(hash);
    if (before === undefined) known.set(hash, ends);
    else pairs.push([before, ends]);
  }
  expect(pairs.length).toBeGreaterThan(0);
  for (const [index, [victim, attacker]] of pairs.entries()) {
    const first = order.enter(2 * index + 1, ...victim);
    order.enter(2 * index + 2, ...attacker);
    expect(order.isCurrent(first), `${attacker} for ${victim}`).toBe(true);
  }
});
