/** Runs the model of moving disks over many seeds, or replays one seed with its whole trace. */
import { parseArgs } from 'node:util';
import { type ReattachOptions, runReattachSeed } from './run.ts';
import { type Fence, operatorVariantNamed } from './variants.ts';

//   node simulation/reattach/main.ts [--seeds 10000] [--from 1] [--fence attach|multi|none] [--whole]
//   node simulation/reattach/main.ts --seed 4711 [--fence ...] [--whole] [--wishes] [--pair-goes] [--broken OldMountStaysNamed]
//
// Every twentieth seed has operators that decide about everything (--whole: all of them); that costs most of the time. In every
// second one of these, administrators ask for moves (--wishes). In one of twenty others the FilerPair is gone in the end
// (--pair-goes).

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    fence: { type: 'string', default: 'attach' },
    whole: { type: 'boolean', default: false },
    wishes: { type: 'boolean', default: false },
    'pair-goes': { type: 'boolean', default: false },
    seed: { type: 'string' },
    broken: { type: 'string' },
  },
});

const optionsOf = (seed: number): ReattachOptions => {
  const variant = values.broken === undefined ? null : operatorVariantNamed(values.broken);
  const everyone = values.seed === undefined;
  return {
    fence: values.fence as Fence,
    whole: values.whole || (everyone && seed % 20 === 0),
    wishes: values.wishes || (everyone && seed % 40 === 0),
    pairGoes: values['pair-goes'] || (everyone && !values.whole && seed % 20 === 10),
    variant,
  };
};

if (values.seed !== undefined) await replay(Number(values.seed));
else await runAll(Number(values.from), Number(values.seeds));

function flagsOf({ whole, wishes, pairGoes }: ReattachOptions): string {
  return `${whole ? ' --whole' : ''}${wishes ? ' --wishes' : ''}${pairGoes ? ' --pair-goes' : ''}`;
}

async function replay(seed: number): Promise<void> {
  const { trace, violations } = await runReattachSeed(seed, optionsOf(seed));
  for (const line of trace) console.log(line);
  console.log(`seed ${seed}: ${violations[0] ?? 'no violation'}`);
  if (violations.length > 0) process.exitCode = 1;
}

async function runAll(from: number, count: number): Promise<void> {
  const totals = { requests: 0, claims: 0, detachedByForce: 0, violations: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const options = optionsOf(seed);
    const outcome = await runReattachSeed(seed, options);
    totals.requests += outcome.requests;
    totals.claims += outcome.claims;
    totals.detachedByForce += outcome.detachedByForce;
    if (outcome.violations.length === 0) continue;
    totals.violations += 1;
    console.log(
      `  seed ${seed}: ${outcome.violations[0]}\n    replay: node simulation/reattach/main.ts --seed ${seed} --fence ${values.fence}${flagsOf(options)}`,
    );
  }
  console.log(
    `moving disks, fence ${values.fence}: ${count} seeds, ${totals.requests} requests of operators, ${totals.claims} changes of owner, ` +
      `${totals.detachedByForce} detached by force, ${totals.violations} with violations`,
  );
  if (totals.violations > 0) process.exitCode = 1;
}
