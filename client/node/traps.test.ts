import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from './own-namespace.fixture.ts';
import type { TrapAnswers } from './traps-script.fixture.ts';

// docs/kernel-path.md numbers the traps. Those that are decisions (3, 4, 5) are in director.test.ts. A client that is refused
// waits for three seconds, and one that hears nothing for a minute.

const why = whyNoNamespace();

describe.skipIf(why !== null)(
  `the traps, with and without cure${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'traps-script.fixture.ts');
    const { cured, uncured, renewedMs, healing, toldOfChanges } =
      why === null ? await inOwnNamespace<TrapAnswers>(script) : ({} as TrapAnswers);

    test('1: the kernel itself sends the connection after a reset to the holder, where without that it is refused', () => {
      expect([cured.race, uncured.race]).toEqual(['holder', 'ECONNREFUSED']);
    });

    test('2: a connection from the same port is not in the way of its own earlier entry', () => {
      expect([cured.samePort, uncured.samePort]).toEqual(['holder', 'ECONNREFUSED']);
    });

    test('6: an address lives for the whole time from its last renewal', () => {
      expect(renewedMs).toBeGreaterThan(2600);
    });

    test('7: a connection that the client ends itself is no fault of the server', () => {
      expect([cured.ownClose, uncured.ownClose]).toEqual(['server', 'holder']);
    });

    test('8: what has no entry is reset, where without that the client would hear nothing', () => {
      expect([cured.untranslated, uncured.untranslated]).toEqual(['reset', 'nothing']);
    });

    test('9: a call is under way when the table of connections is emptied: its connection is ended', () => {
      expect(healing.flushed).toBe('reset');
    });

    test('10: an entry from before an upgrade goes with its reset, if the table was kept', () => {
      expect([cured.upgraded, uncured.upgraded]).toEqual(['gone', 'there']);
    });

    test('11: without a director nothing goes to the holder, which would never let go', () => {
      expect([cured.noDirector, uncured.noDirector]).toEqual(['server', 'holder']);
    });

    test('a flush of the rules is told, and not only found by looking each second', () => {
      expect(toldOfChanges).toBe(1);
    });

    test('after nft flush ruleset the rules and the routes are there again', () => {
      expect(healing.rules).toBeGreaterThan(10);
      expect(healing.routes).toBe(1);
      expect(healing.established, 'an answer may have been lost meanwhile').toBe('reset');
    });
  },
);
