/** The kernel's path beside a direct connection to the same server, both with tracked connections: one run, round by round. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inOwnNamespace, whyNoNamespace } from '../../client/node/own-namespace.fixture.ts';
import { readJsonFile, writeJsonFile } from '../../e2e/machine/json-file.ts';
import { describeMachine } from '../machine.ts';
import { LOADS } from '../proxy/loads.ts';
import type { KernelPathFigures } from './measure.ts';

//   node bench/kernel-path/main.ts [--rounds 9] [--ms 1000] [--only NAME,...]
//
// Two machines, each a network namespace behind a link of its own, reach one server. One does so directly, and has a rule for which its
// connections are tracked. The other goes by the virtual address that its director keeps. Writes `kernelPath` of out/proxy.json.

const ROOT = join(import.meta.dirname, '../..');
const FILE = join(ROOT, 'out/proxy.json');

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    ms: { type: 'string', default: '1000' },
    only: { type: 'string', default: Object.keys(LOADS).join(',') },
  },
});
const why = whyNoNamespace();
if (why !== null) throw new Error(why);
mkdirSync(join(ROOT, '.cache'), { recursive: true });
const script = join(import.meta.dirname, 'measure.ts');
const { idlePercent, loads } = await inOwnNamespace<KernelPathFigures>(
  script,
  values.rounds,
  values.ms,
  values.only,
);
console.log(`a director while nothing is called: ${idlePercent.toFixed(2)} % of a core`);
for (const [name, { perSecond, p50Us, toDirect }] of Object.entries(loads)) {
  const rates = `${Math.round(perSecond.direct)} direct, ${Math.round(perSecond.kernelPath)} by the kernel's path`;
  const p50 = `p50 ${Math.round(p50Us.direct)} and ${Math.round(p50Us.kernelPath)} us`;
  const ratio = `${toDirect.median.toFixed(2)} (${toDirect.least.toFixed(2)} to ${toDirect.greatest.toFixed(2)})`;
  console.log(`${name.padEnd(12)}${rates}, ${p50}, ratio ${ratio}`);
}
const lone = loads['getattrLone']?.p50Us;
const toDirect = Object.fromEntries(
  Object.entries(loads).map(([name, each]) => [name, each.toDirect.median]),
);
const kernelPath = {
  measuredAt: new Date().toISOString(),
  machine: describeMachine(),
  rounds: Number(values.rounds),
  measureMs: Number(values.ms),
  idlePercent,
  toDirect,
  ...(lone === undefined ? {} : { lonePercentile50Us: lone }),
  loads,
};
writeJsonFile(FILE, { ...readJsonFile<object>(FILE, {}), kernelPath });
