/**
 * Coverage-guided fuzzing of what reads strangers' bytes: `main.ts [--seconds N] [--target NAME] [--seed N] [--keep]`.
 * `seconds` for all targets together. An input that breaks something goes to out/fuzzing/, and the exit code is 1.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { search } from './search.ts';
import { targets } from './targets/index.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    target: { type: 'string' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) {
  console.error(`no target "${values.target}"; there are ${targets.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed);
const seconds = Number(values.seconds) / chosen.length;
console.log(`Fuzzing ${chosen.length} targets, ${seconds.toFixed(1)} s each, seed ${seed}.`);
let broken = 0;
for (const { name } of chosen) {
  const result = await search({ name, seconds, seed, keep: values.keep });
  console.log(
    `  ${name.padEnd(14)} ${String(result.runs).padStart(9)} inputs, ${result.corpus} kept, ${result.reached} reached`,
  );
  if (result.broken === null) continue;
  broken++;
  const { input, error } = result.broken;
  const directory = 'out/fuzzing';
  mkdirSync(directory, { recursive: true });
  const file = join(
    directory,
    `${name}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}.hex`,
  );
  writeFileSync(file, `${input}\n`);
  console.error(
    `\n${name}: ${error}\nThe input: ${file}. With the fix it goes to fuzzing/corpus/${name}.hex.\n`,
  );
}
process.exit(broken === 0 ? 0 : 1);
