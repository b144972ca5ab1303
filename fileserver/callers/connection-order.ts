/**
 * Which connections their clients have given up: nothing more that comes by them is executed. In memory that all data threads of
 * a disk set share. The thread that reads the old connection may be held up while another one already serves the new one, and the
 * volume's thread may have calls of both.
 */
import { hash, randomBytes } from 'node:crypto';
import { CONNECTIONS_MAX } from '../connection-limits/descriptor-budget.ts';
import type { Origin } from './origin.ts';

// A connection has a successor when
//
//   its client said so by a younger one (protocol/succession.ts)
//   a younger one comes from the same address and port: the client's kernel has given the old one up. Linux' NFS client comes back
//   from the same port
//
// A client may say so by the old connection after the new one, as seen from here: then the old one is given up in that moment.
// So ended connections are remembered for a while.

/** Each connection has its place by its client's address, or one of the next. */
const PLACES = CONNECTIONS_MAX;
/** Among so many places the others of an address are looked for. */
const NEAR = 32;

/**
 * Words of a place: taken or not; number of the connection, 0 when it was given up; hash of its client's address and port, two
 * words; its client, two words. One word of hash is not enough: of 16,384 connections two would share one once in 16 times, and
 * each would end the other whenever it comes back.
 */
const TAKEN = 0;
const NUMBER = 1;
const ADDRESS = 2;
const CLIENT = 4;
const WORDS = 6;
/** Random words that hashes begin with, behind the places: no client can choose an address and port that count as another's. Words. */
const SECRET_WORDS = 4;

/** A connection as other threads know it. */
export interface Place extends Origin {
  /** -1: all places are taken, and it is never given up. */
  readonly place: number;
}

export class ConnectionOrder {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #secret: string;

  constructor(buffer: SharedArrayBuffer) {
    const words = new Int32Array(buffer);
    this.buffer = buffer;
    this.#words = words.subarray(0, PLACES * WORDS);
    this.#secret = words.subarray(PLACES * WORDS).join(' ');
  }

  static allocate(): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer((PLACES * WORDS + SECRET_WORDS) * Int32Array.BYTES_PER_ELEMENT);
    const secret = new Int32Array(buffer, PLACES * WORDS * Int32Array.BYTES_PER_ELEMENT);
    for (let i = 0; i < SECRET_WORDS; i++) secret[i] = randomBytes(4).readInt32LE();
    return buffer;
  }

  /** A connection was accepted. */
  enter(number: number, host: string, port: number): Place {
    const words = this.#words;
    const [address, more] = this.#hashOf(`${host} ${port}`);
    const isSame = (at: number): boolean =>
      Atomics.load(words, at + ADDRESS) === address && Atomics.load(words, at + ADDRESS + 1) === more;
    const from = { number, host: this.#hashOf(host)[0], address };
    const first = (address >>> 1) % PLACES;
    for (let i = 0; i < PLACES; i++) {
      const place = (first + i) % PLACES;
      const at = place * WORDS;
      if (Atomics.compareExchange(words, at + TAKEN, 0, 1) !== 0) continue;
      const before = isSame(at) ? Atomics.load(words, at + NUMBER) : 0;
      Atomics.store(words, at + CLIENT, 0);
      Atomics.store(words, at + CLIENT + 1, 0);
      Atomics.store(words, at + ADDRESS, address);
      Atomics.store(words, at + ADDRESS + 1, more);
      Atomics.store(words, at + NUMBER, before > number ? 0 : number);
      // The one that is put down later finds the other.
      for (let near = 0; near < NEAR; near++) {
        const other = ((first + near) % PLACES) * WORDS;
        if (isSame(other)) this.#putInOrder(at, number, other);
      }
      return { place, ...from };
    }
    return { place: -1, ...from };
  }

  /** 2 words, of which the first is never 0. */
  #hashOf(text: string): readonly [number, number] {
    const digest = hash('sha256', `${this.#secret} ${text}`, 'buffer');
    return [digest.readInt32LE() | 1, digest.readInt32LE(4)];
  }

  /** Its client says who it is. */
  announce({ place, number }: Place, client: Uint8Array): void {
    if (place < 0) return;
    const words = this.#words;
    const view = new DataView(client.buffer, client.byteOffset);
    const high = view.getInt32(0);
    const low = view.getInt32(4);
    // The number of every connection that has announced none: a client that gave it would end those of all others.
    if (high === 0 && low === 0) return;
    const at = place * WORDS;
    Atomics.store(words, at + CLIENT, high);
    Atomics.store(words, at + CLIENT + 1, low);
    // An atomic load (acquire) between the stores and the plain loads, which would cost six times as much if they were atomic. So
    // of two threads that announce the same client at once, one sees the other.
    if (Atomics.load(words, at + CLIENT) !== high) return;
    for (let other = 0; other < words.length; other += WORDS) {
      if (words[other + CLIENT] !== high || Atomics.load(words, other + CLIENT) !== high) continue;
      if (Atomics.load(words, other + CLIENT + 1) === low) this.#putInOrder(at, number, other);
    }
  }

  /** Only the younger of two connections of one client is current. */
  #putInOrder(own: number, number: number, other: number): void {
    const words = this.#words;
    const theirs = Atomics.load(words, other + NUMBER);
    if (theirs > number) Atomics.compareExchange(words, own + NUMBER, number, 0);
    else if (theirs < number && theirs !== 0) Atomics.compareExchange(words, other + NUMBER, theirs, 0);
  }

  /** Its client has not given it up, as far as is known. */
  isCurrent({ place, number }: Place): boolean {
    return place < 0 || Atomics.load(this.#words, place * WORDS + NUMBER) === number;
  }

  /** It has ended. */
  leave({ place }: Place): void {
    if (place >= 0) Atomics.store(this.#words, place * WORDS + TAKEN, 0);
  }
}
