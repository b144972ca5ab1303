/** Installs Debian packages that a stage needs, and only those that are missing. */
import { outcomeOf, run, succeeds } from './command.ts';
import { NotPossible } from './not-possible.ts';
import { stage } from './stage.ts';

// biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is dpkg-query's, not ours
const STATUS_FORMAT = '--showformat=${db:Status-Status}';

/** The indexes are brought up to date once in a run, and only when something is missing. */
let indexesFresh = false;
/** One at a time: apt-get gives up where another one brings its indexes up to date. */
let installing: Promise<unknown> = Promise.resolve();

/** True for root: the only one who may install packages, start dockerd and mount file systems. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** dpkg-query says "Unknown"/not found with an exit code, and "deinstall ok config-files" for removed packages. */
async function installed(name: string): Promise<boolean> {
  const { code, stdout } = await outcomeOf(['dpkg-query', '--show', STATUS_FORMAT, name]);
  return code === 0 && stdout === 'installed';
}

/**
 * @param purpose completes "... is needed for"
 * @throws NotPossible on a system without apt, or without the right to install
 */
export function needPackages(names: readonly string[], purpose: string): Promise<void> {
  const mine = installing.catch(() => {}).then(() => installMissing(names, purpose));
  installing = mine;
  return mine;
}

async function installMissing(names: readonly string[], purpose: string): Promise<void> {
  const missing: string[] = [];
  if (!(await succeeds(['apt-get', '--version']))) {
    throw new NotPossible(
      `${purpose} needs ${names.join(', ')}: please install them; this system has no apt-get to do it with.`,
    );
  }
  for (const name of names) if (!(await installed(name))) missing.push(name);
  if (missing.length === 0) return;
  if (!isRoot()) {
    throw new NotPossible(
      `${purpose} needs ${missing.join(', ')}: please run "sudo apt-get install --no-install-recommends ${missing.join(' ')}" or run this as root.`,
    );
  }
  await stage(`installing ${missing.join(', ')}`, async () => {
    const variables = { DEBIAN_FRONTEND: 'noninteractive' };
    if (!indexesFresh) await run(['apt-get', '-q', 'update'], { variables });
    indexesFresh = true;
    const install = [
      'apt-get',
      '-q',
      '-y',
      '-o',
      'DPkg::Lock::Timeout=300',
      'install',
      '--no-install-recommends',
    ];
    await run([...install, ...missing], { variables });
  });
}
