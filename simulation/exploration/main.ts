/** Explores the deciding code of the pair exhaustively within bounds, and says how many states there were. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { variantNamed } from '../variants/variants.ts';
import { largeBounds, smallBounds } from './bounds.ts';
import { type Bounds, explore, type Finding } from './explore.ts';

//   node simulation/exploration/main.ts [--large] [--bounds NAME] [--out out/exploration.json]
//   node simulation/exploration/main.ts --broken NAME [--bounds NAME]     shows the shortest way to its violation

const { values } = parseArgs({
  options: {
    large: { type: 'boolean', default: false },
    bounds: { type: 'string' },
    broken: { type: 'string' },
    out: { type: 'string', default: 'out/exploration.json' },
  },
});

const all: readonly Bounds[] = (values.large ? largeBounds : smallBounds).filter(
  ({ name }) => values.bounds === undefined || name === values.bounds,
);
const variant = values.broken === undefined ? null : variantNamed(values.broken);
const findings: (Finding & { tookMs: number })[] = [];
for (const bounds of all) {
  const begun = performance.now();
  const finding = explore(bounds, { variant });
  const tookMs = Math.round(performance.now() - begun);
  findings.push({ ...finding, tookMs });
  print(bounds, finding, tookMs);
  if (finding.violation !== null) break;
}
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(findings, null, 2)}\n`);
if (findings.some(({ violation }) => violation !== null)) process.exitCode = 1;

function print(bounds: Bounds, finding: Finding, tookMs: number): void {
  const faults = Object.entries(bounds.faults).map(([name, count]) => `${name} ${count}`);
  console.log(
    `exploration: ${bounds.name} (${faults.join(', ')}): ${finding.states} states, ${finding.moves} moves, depth ${finding.depth}, ` +
      `${finding.recoveries} recoveries, ${(tookMs / 1000).toFixed(1)} s: ${finding.violation ?? 'no violation'}`,
  );
  for (const line of finding.trace) console.log(`  ${line}`);
}
