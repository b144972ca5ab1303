/**
 * The process of an attachment pod: `main.ts --from DIRECTORY --to DIRECTORY --as NAME --ready FILE VOLUME...`. Each volume
 * is mounted at FROM/VOLUME for this pod alone, and appears at TO/NAME/VOLUME for the servers of the node until this process
 * is told to end (SIGTERM) and nobody uses it any more. What others have left below TO goes with it.
 */
import { inBackground, repeat } from '../system/turns.ts';
import '../linux-only.ts';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type AttachedVolume, appear, disappear, leftBelow } from './attachment.ts';

const tell = (message: string): void => {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), message })}\n`);
};

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      as: { type: 'string' },
      ready: { type: 'string' },
    },
    allowPositionals: true,
  });
  const { from, to, as: own, ready } = values;
  if (!from || !to || !own || !ready || positionals.length === 0)
    throw new Error('Usage: main.ts --from DIRECTORY --to DIRECTORY --as NAME --ready FILE VOLUME...');
  const volumes = positionals.map(
    (name): AttachedVolume => ({
      name,
      from: join(from, name),
      to: join(to, own, name),
    }),
  );
  // Heard from the beginning: what has appeared by then is taken away, and nothing else is begun.
  const told = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  let ending = false;
  inBackground(
    told.then(() => {
      ending = true;
    }),
  );
  for (const volume of volumes) if (!ending) await appear(volume, tell);
  if (!ending) writeFileSync(ready, '');
  // Nothing else keeps this process alive.
  const alive = repeat(() => {}, 3_600_000);
  await told;
  tell('told to end');
  rmSync(ready, { force: true });
  await Promise.all(leftBelow(to).map((volume) => disappear(volume, tell)));
  clearInterval(alive);
}

main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`filerpair attachment: ${error.message}\n`);
  process.exit(1);
});
