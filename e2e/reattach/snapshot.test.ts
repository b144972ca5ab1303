/**
 * A snapshot of both disk sets while a client writes to both in turn: line n to a, and when that is acknowledged, line n to b.
 * At any one point in time b has as many lines as a or one less; copies of two points have not.
 */
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { eventually } from '../../testing/eventually.ts';
import { type Client, createClientPod } from '../harness/client-pod.ts';
import type { Thing } from '../harness/kubectl.ts';
import { claimOf, type Pair, SERVERS } from '../harness/pair.ts';
import { LINES_AFTERWARDS, SERVER, scenario } from '../harness/scenario.ts';
import { step } from '../harness/step.ts';
import { REQUEST_ANSWERED_MS_MAX, WRITER_FINISHED_MS_MAX } from '../harness/timeouts.ts';
import { run, succeeds } from '../machine/command.ts';
import { ReattachPair } from './reattach-pair.ts';

const SNAPSHOT = 'one-moment';
const FILE = 'in-turn';
const LINES_BEFORE = 100;
let client: Client | undefined;

interface SnapshotThing extends Thing {
  readonly spec: { readonly source: { readonly persistentVolumeClaimName: string } };
  readonly status?: { readonly readyToUse?: boolean; readonly boundVolumeSnapshotContentName?: string };
}

interface ContentThing extends Thing {
  readonly status?: { readonly snapshotHandle?: string };
}

scenario(
  {
    name: 'reattach-snapshot',
    fault: 'none: a snapshot of both disk sets at one point in time',
    // What the storage takes to copy two disks.
    gapMsGoal: 5_000,
    replaces: [],
    // The driver copies whole disks while clients wait.
    makePair: (environment, namespace) =>
      new ReattachPair(environment, namespace, {
        claim: { resources: { requests: { storage: '256Mi' } } },
      }),
    makeClient: async (pair, node) => {
      client = await createClientPod(pair, node);
      return client;
    },
  },
  'a snapshot shows both disk sets at one point in time, and nobody stops',
  async ({ pair, writer, leases }) => {
    const changes = leases.ownerChanges(SERVER);
    const inTurn = await step('a client writes to both in turn', () => writeInTurn(pair, client!));
    try {
      await writer.mark('failover');
      await step('a snapshot is asked for', () => askForSnapshot(pair));
      await step('the writer is served', () => writer.writes(LINES_AFTERWARDS, WRITER_FINISHED_MS_MAX));
      const before = inTurn.lines();
      await eventually('the other one is served', WRITER_FINISHED_MS_MAX, () => inTurn.lines() > before + 20);
    } finally {
      inTurn.stop();
    }
    const [a, b] = await step('the copies are read', () => linesInCopies(pair));
    expect(b, 'lines of b').toBeGreaterThan(LINES_BEFORE);
    expect([b!, b! + 1], 'lines of a').toContain(a);
    expect(leases.ownerChanges(SERVER), 'changes of owner').toBe(changes);
  },
);

async function askForSnapshot(pair: Pair): Promise<void> {
  await pair.operationEnds(await pair.operate(SNAPSHOT, { type: 'Snapshot' }));
}

async function writeInTurn(pair: Pair, inPod: Client) {
  const urls = JSON.stringify(SERVERS.map((server) => pair.urlOf(server)));
  const script = `
    const { constants, FilerPairClient } = await import('/app/dist/client/index.js');
    const clients = await Promise.all(${urls}.map((url) => FilerPairClient.connect(url)));
    const files = [];
    const { O_CREAT, O_SYNC, O_WRONLY } = constants;
    for (const client of clients) files.push(await client.open('${FILE}', O_CREAT | O_WRONLY | O_SYNC));
    for (let line = 1; ; line++) {
      const data = Buffer.from(String(line).padStart(15) + '\\n');
      for (const file of files) await file.write(data, { position: 16 * (line - 1) });
      console.log(line);
    }`;
  const program = await inPod.start('node', '--input-type=module', '-e', script);
  let lines = 0;
  let complaints = '';
  createInterface({ input: program.stdout! }).on('line', (line) => (lines = Number(line)));
  program.stderr!.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  await eventually(
    'it has written',
    WRITER_FINISHED_MS_MAX,
    () => lines > LINES_BEFORE,
    () => complaints,
  );
  return { lines: () => lines, stop: () => program.kill('SIGKILL') };
}

/** The copies are disks with a file system like any other: mounted here, they recover as after a crash. */
async function linesInCopies(pair: Pair): Promise<number[]> {
  const found = await eventuallyReady(pair);
  const counts: number[] = [];
  for (const server of SERVERS) {
    const { status } = found.find(({ spec }) => spec.source.persistentVolumeClaimName === claimOf(server))!;
    const content = await pair.kubectl.get<ContentThing>(
      'volumesnapshotcontent',
      status!.boundVolumeSnapshotContentName!,
    );
    const image = join(pair.environment.cluster.disksDirectory, `${content.status!.snapshotHandle}.snapshot`);
    counts.push(await linesIn(image));
  }
  return counts;
}

async function eventuallyReady(pair: Pair): Promise<SnapshotThing[]> {
  let found: SnapshotThing[] = [];
  await eventually('all are ready', REQUEST_ANSWERED_MS_MAX, async () => {
    found = await pair.kubectl.list<SnapshotThing>('volumesnapshots', `filerpair.dev/snapshot=${SNAPSHOT}`);
    return found.length === SERVERS.length && found.every(({ status }) => status?.readyToUse === true);
  });
  return found;
}

async function linesIn(image: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-'));
  const device = (await run(['losetup', '--find', '--show', image])).trim();
  try {
    await run(['mount', device, directory]);
    return readFileSync(join(directory, FILE), 'utf8').trimEnd().split('\n').length;
  } finally {
    await succeeds(['umount', directory]);
    await run(['losetup', '--detach', device]);
    rmdirSync(directory);
  }
}
