/** Releases: `node scripts/release/main.ts build|publish|compare`; docs/releasing.md says what each is for. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheIn } from '../../e2e/machine/cache.ts';
import { CommandFailed } from '../../e2e/machine/command.ts';
import { NOT_POSSIBLE_EXIT_CODE, NotPossible } from '../../e2e/machine/not-possible.ts';
import { say } from '../../e2e/machine/stage.ts';
import { buildRelease } from './build.ts';
import { differences } from './compare.ts';
import { publish } from './publish.ts';
import { ROOT, readSource } from './source.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: join(ROOT, 'out/release') },
    registry: { type: 'string', default: '' },
    downloads: { type: 'string', default: 'https://filerpair.dev/releases' },
  },
});
const { out, registry, downloads } = values;
const cache = cacheIn(process.env['FILERPAIR_CACHE'] ?? join(homedir(), '.cache/filerpair'));
const source = readSource();

const COMMANDS: Readonly<Record<string, () => Promise<number>>> = {
  build: async () => {
    if (source.changed) say('files differ from the commit: nobody else can make this build again');
    await buildRelease(source, cache, out, { registry, downloads });
    say(`${source.version} of commit ${source.commit.slice(0, 12)} is in ${out}`);
    return 0;
  },
  publish: async () => {
    if (registry === '') {
      say('where to? make publish REGISTRY=registry.example.org/filerpair');
      return 2;
    }
    await publish(source, cache, out, registry);
    return 0;
  },
  // Two builds one after the other, of which the second one uses nothing of the first.
  compare: async () => {
    const again = `${out}-again`;
    await buildRelease(source, cache, out, { registry, downloads });
    await buildRelease(source, cache, again, { registry, downloads });
    const found = differences(out, again);
    for (const name of found) say(`differs: ${name}`);
    say(found.length === 0 ? 'both builds are the same, byte for byte' : 'the builds differ');
    return found.length === 0 ? 0 : 1;
  },
};

const command = COMMANDS[positionals[0] ?? ''];
if (command === undefined) {
  say(`usage: node scripts/release/main.ts ${Object.keys(COMMANDS).join('|')}`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await command();
  } catch (error) {
    if (!(error instanceof NotPossible || error instanceof CommandFailed)) throw error;
    say(error.message);
    process.exitCode = error instanceof NotPossible ? NOT_POSSIBLE_EXIT_CODE : 1;
  }
}
