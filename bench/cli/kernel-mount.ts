/** `filerpair cp` beside `cp` onto a mount of the Linux kernel's client: a large file up and down, in turn, in one guest, to one server. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readGuestImage } from '../../e2e/environment.ts';
import { Guest, HOST_IN_GUEST } from '../../e2e/linux/guest.ts';
import { packGuestPrograms, UNPACK_PROGRAMS } from '../../e2e/linux/guest-programs.ts';
import { describeMachine } from '../machine.ts';
import { median } from '../rounds.ts';
import { startFilerpair } from '../servers/filerpair.ts';

//   node bench/cli/kernel-mount.ts [--mib 128] [--rounds 3]
//
// The guest is an emulated machine, of which the processor limits both. The source is in its memory; what comes back goes to
// /dev/null. Each command is timed as a whole, its start included, and what `filerpair cp` says of itself is without that of Node.
// `make clients` prepares the guest. Writes out/cli-kernel-mount.json.

const ROOT = join(import.meta.dirname, '../..');
const DONE_MS_MAX = 40 * 60_000;

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '128' }, rounds: { type: 'string', default: '3' } },
});

function script(port: number, exportPath: string): string {
  const options = `vers=3,proto=tcp,port=${port},mountport=${port},mountproto=tcp,nolock,hard,noresvport`;
  const url = `nfs://${HOST_IN_GUEST}:${port}${exportPath}`;
  const settings = { MIB: values.mib, ROUNDS: values.rounds, OPTIONS: options, URL: url };
  return [
    UNPACK_PROGRAMS,
    ...Object.entries(settings).map(([name, value]) => `${name}='${value}'`),
    `SOURCE='${HOST_IN_GUEST}:${exportPath}'`,
    readFileSync(join(import.meta.dirname, 'kernel-mount.sh'), 'utf8'),
  ].join('\n');
}

type Work = 'up' | 'down';
type Way = 'mount' | 'filerpair' | 'filerpair-said';

const directory = mkdtempSync(join(ROOT, '.cache', 'bench-cli-'));
const server = await startFilerpair(directory, { nodeArguments: [] });
let guest: Guest | undefined;
try {
  const archive = await packGuestPrograms();
  guest = await Guest.boot(readGuestImage(), script(server.port, server.exportPath), [], {
    memoryMiB: 1280 + Number(values.mib),
    archive,
  });
  const code = await guest.exitCode(DONE_MS_MAX);
  const said = guest.output();
  console.log(said);
  if (code !== 0) throw new Error(`the guest's script ended with ${code}`);
  const seconds = (work: Work, way: Way): number[] =>
    [...said.matchAll(new RegExp(`^TOOK ${work} ${way} ([\\d.]+)`, 'gm'))].map(([, took]) => Number(took));
  const figures = Object.fromEntries(
    (['up', 'down'] as const).map((work) => {
      const [mounted, ours, inside] = (['mount', 'filerpair', 'filerpair-said'] as const).map((way) =>
        seconds(work, way),
      );
      const timesAsFast = median(mounted!.map((each, round) => each / ours![round]!));
      console.log(
        `${work}: cp ${median(mounted!).toFixed(1)} s, filerpair cp ${median(ours!).toFixed(1)} s (its copy ${median(inside!).toFixed(1)} s): ${timesAsFast.toFixed(2)} times as fast`,
      );
      return [work, { mounted, filerpair: ours, filerpairSaid: inside, timesAsFast }];
    }),
  );
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  const kernel = /^KERNEL (\S+)/m.exec(said)?.[1];
  writeFileSync(
    join(ROOT, 'out/cli-kernel-mount.json'),
    `${JSON.stringify({ machine: describeMachine(), guest: kernel, mib: Number(values.mib), figures }, null, 2)}\n`,
  );
} finally {
  await guest?.discard();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
