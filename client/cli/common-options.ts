/** The options that many commands share: a command has those of its target, of listing and of dry runs. */
import { ID_MAX, processIdentity } from '../identity.ts';
import {
  type Command,
  type CommonOptions,
  type Flags,
  type Option,
  type Options,
  UsageError,
} from './command.ts';

/** A takeover by silence is over in seconds; after a minute something else is wrong, and an administrator should know. */
export const TIMEOUT_MS = 60_000;

export const EVERYWHERE: Options = {
  timeout: { value: 'SECONDS', help: 'longest wait for an answer (default 60; 0: through any outage)' },
  verbose: { short: 'v', help: 'say when the connection moves' },
};

const OF_TARGET: Readonly<Record<Command['target'], Options>> = {
  export: {
    uid: { value: 'N', help: 'act as this user (default: yours)' },
    gid: { value: 'N', help: 'act as this group (default: yours)' },
  },
  cluster: {
    namespace: {
      short: 'n',
      value: 'NAME',
      help: 'namespace of the pair (default: that of the context)',
      completes: 'namespace',
    },
    kubeconfig: { value: 'FILE', help: 'instead of KUBECONFIG and ~/.kube/config', completes: 'file' },
    context: { value: 'NAME', help: 'of the kubeconfig, instead of the current one', completes: 'context' },
  },
  other: {},
};

export const FORMATS = ['json', 'yaml', 'wide'] as const;

const OF_LISTS: Options = {
  output: { short: 'o', value: 'FORMAT', choices: FORMATS, help: 'json, yaml, or a table with more columns' },
  json: { help: 'the same as -o json' },
};

const OF_DRY_RUNS: Options = { 'dry-run': { help: 'say what would be done, and do nothing' } };

export const HELP: Option = { short: 'h', help: 'this text' };

export interface KnownOption {
  readonly name: string;
  readonly option: Option;
  /** It is not the command's own. */
  readonly common: boolean;
}

/** All options that a command understands; its own come first, and replace common ones of the same name. */
export function optionsOf(command: Command): KnownOption[] {
  const known = new Map<string, KnownOption>();
  const add = (options: Options, common: boolean): void => {
    for (const [name, option] of Object.entries(options))
      if (!known.has(name)) known.set(name, { name, option, common });
  };
  add(command.options ?? {}, false);
  if (command.lists === true) add(OF_LISTS, false);
  if (command.dryRun === true) add(OF_DRY_RUNS, false);
  add(OF_TARGET[command.target], true);
  add(EVERYWHERE, true);
  return [...known.values()];
}

export function commonOptions(flags: Flags): CommonOptions {
  const own = processIdentity();
  const uid = numberOf('uid', flags) ?? own.uid;
  const gid = numberOf('gid', flags) ?? own.gid;
  const seconds = numberOf('timeout', flags);
  return {
    timeoutMs: seconds === undefined ? TIMEOUT_MS : seconds === 0 ? undefined : seconds * 1000,
    timeoutGiven: seconds !== undefined,
    // Groups belong to the user: acting as another user does not bring one's own along.
    identity: { uid, gid, gids: uid === own.uid ? own.gids : [] },
    verbose: flags['verbose'] === true,
    dryRun: flags['dry-run'] === true,
  };
}

/** A number of an option. Throws UsageError if it is none, or larger than IDs are. */
export function numberOf(name: string, flags: Flags): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= ID_MAX)) throw new UsageError(`--${name} ${text}: not a number in 0..${ID_MAX}`);
  return value;
}
