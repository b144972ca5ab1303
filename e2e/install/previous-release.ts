/**
 * The release before this one, built as that commit itself builds it: its chart and its images. It is the last tag, or the commit
 * that stands in for it as long as nothing has been released.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcomeOf, pipeline, run } from '../machine/command.ts';
import { NotPossible } from '../machine/not-possible.ts';
import { stage } from '../machine/stage.ts';

/** The first commit of which the API is v1beta1, as it is now. Only counts without a tag. */
const STANDS_IN = '90528897a88b';
/** There: the tree is whole, with its packages. */
const WHOLE = '.whole';

export interface PreviousRelease {
  /** Tag or commit. */
  readonly name: string;
  /** Directory of its chart. */
  readonly chart: string;
  readonly images: { readonly operator: string; readonly fileserver: string };
}

/** Throws NotPossible where the history does not reach so far. */
export async function previousRelease(repository: string): Promise<PreviousRelease> {
  const name = await nameOf(repository);
  const { code, stdout } = await outcomeOf(['git', 'rev-parse', '--verify', '--quiet', `${name}^{commit}`], {
    cwd: repository,
  });
  if (code !== 0)
    throw new NotPossible(
      `The upgrade is tried from ${name}, and this clone does not have it: git fetch --unshallow --tags brings it.`,
    );
  const tree = join(repository, '.cache/previous', stdout.trim());
  const whole = join(tree, WHOLE);
  if (!existsSync(whole)) {
    await stage(`getting the release before this one (${name})`, async () => {
      rmSync(tree, { recursive: true, force: true });
      mkdirSync(tree, { recursive: true });
      await pipeline('git archive "$1" | tar -x -C "$2"', [name, tree], { cwd: repository });
      await run(['scripts/setup.sh'], { cwd: tree });
      writeFileSync(whole, '');
    });
  }
  // Every time: the engine may have lost them, and what is there is not built again.
  const said = await stage('building its images', () =>
    run([join(tree, 'node_modules/.bin/node'), 'e2e/main.ts', 'images'], { cwd: tree }),
  );
  const reference = (image: 'operator' | 'fileserver'): string => {
    const found = [...said.matchAll(new RegExp(`filerpair/${image}:[\\w.-]+`, 'g'))].at(-1);
    if (found === undefined) throw new Error(`${name} built no image ${image}: ${said}`);
    return found[0];
  };
  return {
    name,
    chart: join(tree, 'helm/filerpair'),
    images: { operator: reference('operator'), fileserver: reference('fileserver') },
  };
}

/** Tag of the release before what is checked out; without one, what stands in for it. */
async function nameOf(repository: string): Promise<string> {
  const describe = ['git', 'describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*'];
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    version: string;
  };
  // A commit that is tagged as this very version is compared with the one before.
  const { code, stdout } = await outcomeOf([...describe, '--exclude', `v${version}`, 'HEAD'], {
    cwd: repository,
  });
  return code === 0 ? stdout.trim() : STANDS_IN;
}
