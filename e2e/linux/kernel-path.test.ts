/**
 * The kernel's path on this machine's own kernel, with a real pair and the real director. The clients connect as the Linux
 * kernel's NFS client does: from the same port again after a reset, and three seconds after a refusal.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inOwnNamespace, whyNoNamespace } from '../../client/node/own-namespace.fixture.ts';
import type { Fault, KernelPathResult } from './kernel-path-script.ts';

const FAULTS: readonly Fault[] = [
  'kill',
  'giveback',
  'director',
  'freeze',
  'giveback',
  'director-and-kill',
  'giveback',
];

const why = whyNoNamespace();

test.skipIf(why !== null)(
  `writers on four connections to a virtual address see no error, and no refusal, whatever fails${why === null ? '' : `: ${why}`}`,
  async () => {
    const script = join(import.meta.dirname, 'kernel-path-script.ts');
    const result = await inOwnNamespace<KernelPathResult>(script, ...FAULTS);
    console.log(result.faults.map(({ fault, gapMs }) => `${fault} ${gapMs} ms`).join(', '));
    const { errors, lost, doubled } = result;
    expect({ errors, lost, doubled }).toEqual({ errors: [], lost: 0, doubled: 0 });
    for (const { fault, refused, connections } of result.faults)
      expect(refused, `${fault}: ${connections.join(', ')}`).toBe(0);
  },
);
