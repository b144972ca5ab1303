/**
 * What the writer does while a test breaks servers: lines that must not be lost, and operations that must not be executed
 * twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Attributes, constants, type FilerPairClient, NfsError } from '../../client/index.ts';
import {
  GUARDED,
  NFS3_OK,
  NFS3ERR_NOSPC,
  type nfs_fh3,
  type nfsstat3,
  SATTR3_NOTHING,
} from '../../protocol/nfs3.ts';
import { type HistoryEntry, LINES_FILE, lineText, runDirectory } from './history.ts';

// Every operation is one that fails when it is executed a second time. A guarded CREATE and MKDIR find the name taken (EXIST),
// LINK too. RENAME and REMOVE find their source gone (NOENT), and a SETATTR guarded by ctime finds the ctime moved (NOT_SYNC). So
// an answer other than NFS3_OK says that a request was executed twice, or that one before it was lost. The history alone tells
// what remains on the disk afterwards: see expectedAfter().

const NO_SPACE_PAUSE_MS = 50;

export interface WorkloadOptions {
  readonly client: FilerPairClient;
  readonly run: string;
  readonly report: (entry: HistoryEntry) => void;
  readonly now: () => number;
  /** Pause between two requests of one loop: continuous, without taking the machine from the servers. */
  readonly pause: () => Promise<unknown>;
  readonly stopped: () => boolean;
}

/** Writes lines, one at a time, until stopped. Returns how many were acknowledged. */
export async function writeLines(options: WorkloadOptions, onFirst: () => void): Promise<number> {
  const { client, run, report, now } = options;
  const path = `${runDirectory(run)}/${LINES_FILE}`;
  // Each line is on the disk when its write is answered.
  const { O_CREAT, O_EXCL, O_SYNC, O_WRONLY } = constants;
  const file = await client.open(path, O_CREAT | O_EXCL | O_WRONLY | O_SYNC);
  let number = 0;
  let offset = 0;
  while (!options.stopped()) {
    const bytes = Buffer.from(lineText(run, number));
    const sentMs = now();
    await withRoom(options, 'WRITE', () => file.write(bytes, { position: offset }));
    report({ kind: 'line', number, sentMs, answeredMs: now() });
    if (number === 0) onFirst();
    number += 1;
    offset += bytes.length;
    await options.pause();
  }
  return number;
}

/** A full disk is a state, not an end: says so, and tries again until there is room. */
async function withRoom<T>(options: WorkloadOptions, procedure: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof NfsError) || error.status !== NFS3ERR_NOSPC) throw error;
      options.report({ kind: 'noSpace', procedure, atMs: options.now() });
      await delay(NO_SPACE_PAUSE_MS);
    }
  }
}

/** Goes round by round through all operations that must be executed once, until stopped. */
export async function changeNames(options: WorkloadOptions): Promise<void> {
  const path = `${runDirectory(options.run)}/rounds`;
  await options.client.mkdir(path);
  const { handle: top } = await options.client.lookup(path);
  for (let round = 0; !options.stopped(); round++) await oneRound(options, top, round);
}

/** What a complete round leaves: a directory with the file, mode changed; every second round without the link. */
export function expectedAfter(round: number): {
  directory: string;
  file: string;
  renamed: string | null;
  mode: number;
} {
  return {
    directory: `round-${round}`,
    file: 'created',
    renamed: round % 2 === 0 ? 'renamed' : null,
    mode: 0o600,
  };
}

async function oneRound(options: WorkloadOptions, top: nfs_fh3, round: number): Promise<void> {
  const { client } = options;
  const expected = expectedAfter(round);
  const path = (name: string) => `rounds/${expected.directory}/${name}`;
  const nfs = client.nfs;
  const name = (text: string) => Buffer.from(text);

  const made = await once(options, 'MKDIR', `rounds/${expected.directory}`, () =>
    nfs.call('MKDIR', {
      where: { dir: top, name: name(expected.directory) },
      attributes: sattr({ mode: 0o755 }),
    }),
  );
  const dir = made.obj!.slice();
  const how = { mode: GUARDED, obj_attributes: sattr({ mode: 0o644 }) } as const;
  const created = await once(options, 'CREATE', path(expected.file), () =>
    nfs.call('CREATE', { where: { dir, name: name(expected.file) }, how }),
  );
  const file = created.obj!.slice();
  await once(options, 'LINK', path('linked'), () =>
    nfs.call('LINK', { file, link: { dir, name: name('linked') } }),
  );
  await once(options, 'RENAME', path('renamed'), () =>
    nfs.call('RENAME', { from: { dir, name: name('linked') }, to: { dir, name: name('renamed') } }),
  );
  const { ctime } = await nfs.getattr(file);
  await once(options, 'SETATTR', path(expected.file), () =>
    nfs.call('SETATTR', { object: file, new_attributes: sattr({ mode: expected.mode }), guard: ctime }),
  );
  if (expected.renamed === null) {
    await once(options, 'REMOVE', path('renamed'), () =>
      nfs.call('REMOVE', { object: { dir, name: name('renamed') } }),
    );
  }
}

/** Calls, reports the status, and refuses to go on from anything but NFS3_OK: what follows would only confuse. */
async function once<R extends { status: nfsstat3 }>(
  options: WorkloadOptions,
  procedure: string,
  path: string,
  call: () => Promise<R>,
): Promise<Extract<R, { status: typeof NFS3_OK }>> {
  const sentMs = options.now();
  const reply = await withRoom(options, procedure, async () => {
    const answer = await call();
    if (answer.status === NFS3ERR_NOSPC) throw new NfsError(answer.status, procedure);
    return answer;
  });
  options.report({
    kind: 'operation',
    procedure,
    path,
    status: reply.status,
    sentMs,
    answeredMs: options.now(),
  });
  if (reply.status !== NFS3_OK)
    throw new Error(`${procedure} ${path} was answered with status ${reply.status}`);
  await options.pause();
  return reply as Extract<R, { status: typeof NFS3_OK }>;
}

function sattr(attributes: Attributes) {
  return { ...SATTR3_NOTHING, ...attributes };
}
