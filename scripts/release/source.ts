/** What a release is made of: a version and a commit, whose time is the time of every file in it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Source {
  readonly version: string;
  /** Hexadecimal. */
  readonly commit: string;
  /** Of the commit: seconds since 1970, SOURCE_DATE_EPOCH of reproducible-builds.org. */
  readonly time: number;
  /** Whether files differ from the commit. Such a build is no release: nobody else can make it again. */
  readonly changed: boolean;
}

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

export function readSource(): Source {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return {
    version,
    commit: git('rev-parse', 'HEAD'),
    time: Number(git('log', '-1', '--format=%ct')),
    changed: git('status', '--porcelain') !== '',
  };
}

/** RFC 3339, as image configurations have it. */
export const timeText = ({ time }: Source): string => new Date(time * 1000).toISOString();
