/** The person on call: opens the page of an alert and types what stands in it. */
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { REPOSITORY, type TestEnvironment } from '../environment.ts';
import { sectionBelow } from '../install/readme-blocks.ts';
import { type Outcome, outcomeOf } from '../machine/command.ts';

const PAGES = join(REPOSITORY, 'docs/runbooks');
const PLUGIN = join(REPOSITORY, 'client/cli/main.ts');

/** Names of the alerts that have a page. */
export const alerts = (): string[] =>
  globSync('FilerPair*.md', { cwd: PAGES }).map((file) => basename(file, '.md'));

/** The text below a heading of a page. */
export function section(alert: string, heading: string): string {
  return sectionBelow(readFileSync(join(PAGES, `${alert}.md`), 'utf8'), `## ${heading}`);
}

/** Its commands for the cluster. Those for a client's machine begin with another word. */
export const commandsIn = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('    kubectl '))
    .map((line) => line.trim().replace(/\s+#.*/, ''));

/** The first column of the table below a heading: what the page tells the meaning of. */
export const rowsOf = (text: string): string[] =>
  [...text.matchAll(/^\| `(\w+)`/gm)].map(([, first]) => first!);

/** What a page writes in capital letters, and what it is here. */
export type Placeholders = Readonly<Record<string, string>>;

/** A shell with kubectl and its plug-in on the PATH. */
export class Shell {
  readonly #programs = mkdtempSync(join(tmpdir(), 'filerpair-on-call-'));
  readonly #variables: Readonly<Record<string, string>>;

  constructor(environment: TestEnvironment) {
    symlinkSync(environment.kubectl, join(this.#programs, 'kubectl'));
    const plugin = join(this.#programs, 'kubectl-filerpair');
    writeFileSync(plugin, `#!/bin/sh\nexec '${process.execPath}' '${PLUGIN}' pairs "$@"\n`);
    chmodSync(plugin, 0o755);
    this.#variables = {
      KUBECONFIG: environment.cluster.kubeconfig,
      PATH: `${this.#programs}:${process.env['PATH']}`,
    };
  }

  /** Types a line of a page. What is searched in a log need not be there: the search is left out. */
  type(line: string, placeholders: Placeholders): Promise<Outcome> {
    const [command] = line.split(' | grep ');
    const filled = command!.replaceAll(/\b[A-Z]+(-[A-Z]+)*\b/g, (name) => placeholders[name] ?? name);
    return outcomeOf(['bash', '-c', filled], { variables: this.#variables });
  }

  close(): void {
    rmSync(this.#programs, { recursive: true, force: true });
  }
}
