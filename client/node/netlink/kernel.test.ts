import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from '../own-namespace.fixture.ts';
import type { KernelAnswers } from './kernel-script.fixture.ts';

const why = whyNoNamespace();

/** As Linux 6.18 lists `tcp dport 2049 dnat to ip daddr map @targets` and `update @broken { ip saddr timeout 1s }` of nft 1.0.6. */
const NFT_RULES = [
  `240001000900 01006d657461000000001400020008000200000000100800010000000001
   2c00010008000100636d700020000200080001000000000108000200000000000c00030005000100 06000000
   340001000c0001007061796c6f6164002400020008000100000000010800020000000002080003000000000208000400000000022c000100
   08000100636d700020000200080001000000000108000200000000000c0003000600010008010000
   340001000c0001007061796c6f61640024000200080001000000000108000200000000010800030000000010080004000000000438000100
   0b0001006c6f6f6b75700000280002000c0001007461726765747300080002000000000108000300000000010800050000000000480001000800
   01006e6174003c00020008000100000000010800020000000002080003000000000108000400000000010800050000000009080006000000
   00090800070000000003`,
  `340001000c0001007061796c6f6164002400020008000100000000010800020000000001080003000000000c080004000000000444000100
   0b00010064796e736574000034000200080004000000000108000300000000010b00010062726f6b656e00000c00060000000000000003e8
   0800090000000000`,
];
const plain = (hex: string) => hex.replace(/\s/g, '');

describe.skipIf(why !== null)(`the running kernel${why === null ? '' : `: ${why}`}`, async () => {
  const answers = why === null ? await inOwnNamespace<KernelAnswers>(script()) : null;

  test('has the same rules as if the program nft had written them', () => {
    expect(answers!.rules).toEqual(NFT_RULES.map(plain));
  });

  for (const [index, version] of ['IPv4', 'IPv6'].entries()) {
    test(`${version}: all rules are there, and are the same after they are installed again`, () => {
      const { rulesInstalled, rulesExpected, rulesAfterSecondInstall } = answers!.families[index]!;
      expect(rulesInstalled).toBe(rulesExpected);
      expect(rulesAfterSecondInstall).toBe(rulesExpected);
    });

    test(`${version}: a connection is found, destroyed, and its entry deleted`, () => {
      const { socketState, entryFound, destroyed, isThereAfterDestroy } = answers!.families[index]!;
      expect({ socketState, entryFound, destroyed, isThereAfterDestroy }).toEqual({
        socketState: 'ESTABLISHED',
        entryFound: true,
        destroyed: 0,
        isThereAfterDestroy: false,
      });
    });

    test(`${version}: an entry's deletion spares the next one from the same port to another server, even with the same id`, () => {
      expect(answers!.families[index]!.laterStays).toBe(true);
    });

    test(`${version}: after the server's reset the next connection goes to the holder by itself, then where the route says`, () => {
      const { servers, originals, broken } = answers!.families[index]!;
      expect(servers).toEqual(['a', 'b', 'a', 'holder', 'b', 'b']);
      expect(new Set(originals)).toEqual(new Set([index === 0 ? '169.254.77.1' : 'fd00:0:0:0:0:0:77:1']));
      expect(broken).toBe(1);
    });

    test(`${version}: the entry of a connection that waits is in the holder's zone alone`, () => {
      expect(answers!.families[index]!.held).toEqual({ there: true, elsewhere: false });
    });

    test(`${version}: a connection whose entry was deleted by its mark is reset, not sent untranslated`, () => {
      expect(answers!.families[index]!.idAfterMark).toBe(false);
    });

    test(`${version}: another port of the address is refused`, () => {
      expect(answers!.families[index]!.otherPort).toBe('ECONNREFUSED');
    });
  }
});

function script(): string {
  return join(import.meta.dirname, 'kernel-script.fixture.ts');
}
