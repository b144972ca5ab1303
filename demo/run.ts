/** The demo's plot. Each scene waits for conditions, never for time, and tells what it saw. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { msText } from '../client/cli/probe/probe-line.ts';
import type { Moment } from '../client/cli/timeline/moment.ts';
import { clientMoments, phaseText } from '../client/cli/timeline/phase-text.ts';
import { type Scene, timelinePicture } from '../client/cli/timeline/picture.ts';
import type { Status } from '../fileserver/agent/status.ts';
import { bootMs } from '../fileserver/system/boottime.ts';
import { DemoConsole } from './console.ts';
import type { Wrong } from './ledger.ts';
import { Screen } from './screen.ts';
import { SERVERS, type ServerName, Stage, StageError } from './stage.ts';
import { handoverPhases, type PhaseRecord, transitionPhases } from './story.ts';
import { contentsOf } from './volume-contents.ts';
import { LINES_FILE, OPERATIONS_DIRECTORY, Writer } from './writer.ts';

export interface DemoOptions {
  readonly print: (text: string) => void;
  readonly colours: boolean;
  readonly outFile: string;
  /** Leave volumes and logs behind even if all is well. */
  readonly keep: boolean;
  /** Serve the console of `kubectl filerpair ui` on this pair; `opened` is given its address. Null: do not. */
  readonly ui: { readonly opened: (url: string) => void } | null;
  /** Registers what is to be done when somebody interrupts the demo. */
  readonly onSignal: (stop: () => void) => void;
}

interface SceneRecord {
  readonly scene: Scene;
  /** Longest time that the writer of the disk set concerned waited between two acknowledged lines. */
  readonly gapMs: number;
  readonly phases: readonly PhaseRecord[];
}

/** Lines that the writer has to get through before each event, so that there is something to interrupt. */
const LINES_BEFORE = 300;

/** 0: nothing lost, nothing done twice. 1: something was, or the demo could not be played. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const screen = new Screen(options.print, options.colours);
  const directory = mkdtempSync(join(tmpdir(), 'filerpair-demo-'));
  const stage = await Stage.build(directory);
  let interrupted = false;
  options.onSignal(() => {
    interrupted = true;
    void stage.stop().then(() => {
      rmSync(directory, { recursive: true, force: true });
      process.exit(130);
    });
  });
  let keep = true;
  try {
    const good = await play(stage, screen, options);
    keep = options.keep || !good;
    return good ? 0 : 1;
  } catch (error) {
    const known = error instanceof StageError;
    if (!interrupted) screen.failure(known ? error.message : String((error as Error).stack ?? error));
    return 1;
  } finally {
    await stage.stop();
    if (keep) screen.note(`volumes, configurations and logs: ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
}

async function play(stage: Stage, screen: Screen, { outFile, ui }: DemoOptions): Promise<boolean> {
  const startedMs = performance.now();
  screen.heading('A pair of file servers, each with a disk of its own');
  await startPair(stage, screen);
  const shown = ui === null ? null : await DemoConsole.start(stage);
  if (shown !== null) {
    screen.line(`the pair as a page: ${shown.url}`);
    screen.note('the demo goes on when a browser shows it');
    ui!.opened(shown.url);
    await shown.watched;
  }
  const a = await Writer.start('writer-a', stage.url('filer-a'));
  const b = await Writer.start('writer-b', stage.url('filer-b'));
  try {
    return await playWith(stage, screen, outFile, a, b, startedMs);
  } finally {
    a.close();
    b.close();
    await shown?.close();
  }
}

async function playWith(
  stage: Stage,
  screen: Screen,
  outFile: string,
  a: Writer,
  b: Writer,
  startedMs: number,
): Promise<boolean> {
  screen.line(
    "two clients write without pause, one on each server's disks; every line is on the disk when acknowledged",
  );
  const failed = Promise.race([a.failed(), b.failed()]);
  // Once the scenes are over, the end of a writer is nobody's failure.
  failed.catch(() => {});
  const scenes = async () => {
    await moreLines(stage, a, b);
    const takeover = await playTakeover(stage, screen, a, b);
    await moreLines(stage, a, b);
    const giveback = await playGiveback(stage, screen, a, b);
    await moreLines(stage, a, b);
    return { takeover, giveback };
  };
  const { takeover, giveback } = await Promise.race([scenes(), failed]);
  await Promise.all([a.stop(), b.stop()]);
  await stage.stop();

  screen.heading('What is on the disks now');
  const wrong = [...verify(stage, screen, 'filer-a', a), ...verify(stage, screen, 'filer-b', b)];
  const lost = wrong.filter((each) => each.kind === 'Lost').length;
  const duplicated = wrong.length - lost;
  const record = {
    gapMs: rounded(takeover.gapMs),
    acknowledged: a.ledger.acknowledged + b.ledger.acknowledged,
    lost,
    duplicated,
    phases: takeover.phases,
    partnerGapMs: rounded(takeover.partnerGapMs),
    giveback: { gapMs: giveback.gapMs, phases: giveback.phases },
    tookMs: Math.round(performance.now() - startedMs),
  };
  mkdirSync(dirname(outFile), { recursive: true });
  writeFileSync(outFile, `${JSON.stringify(record, null, 2)}\n`);
  const picture = timelinePicture('A takeover and a giveback, as make demo saw them', [
    takeover.scene,
    giveback.scene,
  ]);
  const pictureFile = outFile.replace(/\.json$/, '.svg');
  writeFileSync(pictureFile, picture);
  screen.note(
    `figures: out/demo.json, picture: out/demo.svg; the demo took ${(record.tookMs / 1000).toFixed(1)} s`,
  );
  return wrong.length === 0;
}

async function startPair(stage: Stage, screen: Screen): Promise<void> {
  for (const name of SERVERS) {
    stage.startSentinel(name);
    stage.startServer(name);
  }
  for (const name of SERVERS) {
    await stage.waitFor(`the start of ${name}`, async () => ready(await stage.status(name)));
    screen.line(`${name} serves its disks on port ${stage.primaryPort(name)}`);
  }
  screen.line("nobody listens on the secondary ports: they open when a partner's disks are taken over");
}

/** Serves its own disks, knows its partner and is watched by its sentinel: a takeover would work. */
function ready(status: Status | null): true | null {
  if (status === null) return null;
  const own = status.diskSets.find((each) => each.home === status.server);
  const paired = own?.acknowledger !== null && status.partner.connected;
  return own?.port && paired && status.sentinel.watching ? true : null;
}

/** `partner` is the one whose acknowledgements count for all that `owner` serves. */
function acknowledges(partner: Status, owner: Status): boolean {
  return owner.diskSets.every((each) => each.acknowledger === partner.incarnation);
}

async function playTakeover(stage: Stage, screen: Screen, a: Writer, b: Writer) {
  const heading = 'filer-a is killed (SIGKILL) in the middle of its work';
  screen.heading(heading);
  const zeroMs = performance.now();
  const zeroBootMs = bootMs();
  stage.kill('filer-a');
  const { status } = await stage.waitFor('the takeover by filer-b', async () => {
    const seen = await stage.status('filer-b');
    return settled(seen, 'filer-a', 'Takeover') ? { status: seen! } : null;
  });
  const firstMs = await a.acknowledgedAfter(zeroMs + transitionEnd(status, zeroBootMs) - 1);
  const phases = transitionPhases(status.lastTransition!, zeroBootMs);
  const gapMs = a.longestGap(zeroMs, firstMs);
  const partnerGapMs = b.longestGap(zeroMs, firstMs);
  const moments: Moment[] = [
    { atMs: 0, text: 'filer-a killed', kind: 'Bad' },
    ...spoken(phases, status, stage.secondaryPort('filer-a')),
    ...clientMoments(a.events, zeroMs),
    { atMs: firstMs - zeroMs, text: 'client: the next line is acknowledged', kind: 'Good' },
  ];
  const result = pauses(gapMs, partnerGapMs);
  screen.timeline(moments);
  screen.line(result);
  return { gapMs, partnerGapMs, phases: phases.map(roundedPhase), scene: { heading, moments, result } };
}

async function playGiveback(stage: Stage, screen: Screen, a: Writer, b: Writer): Promise<SceneRecord> {
  const heading = 'filer-a is started again, and a command gives its disks back';
  screen.heading(heading);
  stage.startServer('filer-a');
  await stage.waitFor('the return of filer-a', async () => {
    const [home, owner] = await Promise.all([stage.status('filer-a'), stage.status('filer-b')]);
    return home?.sentinel.watching && owner !== null && acknowledges(home, owner) ? true : null;
  });
  screen.line('filer-a is back: it confirms what filer-b serves, and could take over from it');
  const zeroMs = performance.now();
  const zeroBootMs = bootMs();
  await stage.giveback('filer-b', 'filer-a');
  const { home, giver } = await stage.waitFor('the giveback to filer-a', async () => {
    const [home, giver] = await Promise.all([stage.status('filer-a'), stage.status('filer-b')]);
    return settled(home, 'filer-a', 'Giveback') && giver?.lastHandover ? { home: home!, giver } : null;
  });
  const firstMs = await a.acknowledgedAfter(zeroMs + transitionEnd(home, zeroBootMs) - 1);
  const given = handoverPhases(giver.lastHandover!, zeroBootMs);
  const taken = transitionPhases(home.lastTransition!, zeroBootMs);
  const gapMs = a.longestGap(zeroMs, firstMs);
  const moments: Moment[] = [
    { atMs: 0, text: 'filerpair giveback' },
    ...spoken(given, home, stage.primaryPort('filer-a')),
    ...spoken(taken, home, stage.primaryPort('filer-a')),
    ...clientMoments(a.events, zeroMs),
    { atMs: firstMs - zeroMs, text: 'client: the next line is acknowledged', kind: 'Good' },
  ];
  const result = pauses(gapMs, b.longestGap(zeroMs, firstMs));
  screen.timeline(moments);
  screen.line(result);
  const phases = [...given, ...taken].map(roundedPhase);
  return { gapMs: rounded(gapMs), phases, scene: { heading, moments, result } };
}

const pauses = (gapMs: number, partnerGapMs: number): string =>
  `longest pause between two lines: ${msText(gapMs)} on filer-a's disks, ${msText(partnerGapMs)} on filer-b's own`;

/** The transition has come to its first answered request. */
function settled(status: Status | null, home: ServerName, kind: 'Takeover' | 'Giveback'): boolean {
  const last = status?.lastTransition;
  return last?.home === home && last.kind === kind && last.phases.some((each) => each.name === 'firstReply');
}

function transitionEnd(status: Status, zeroBootMs: number): number {
  const phases = transitionPhases(status.lastTransition!, zeroBootMs);
  return phases[phases.length - 1]!.atMs;
}

function spoken(phases: readonly PhaseRecord[], status: Status, port: number): Moment[] {
  const { home, to, epoch, cause } = status.lastTransition!;
  const words = { owner: to, home, epoch, cause, port };
  return phases.map(({ name, atMs }) => ({ atMs, text: phaseText(name, words) }));
}

/** Waits until both writers have got on. */
async function moreLines(stage: Stage, a: Writer, b: Writer): Promise<void> {
  const goals = [a, b].map((each) => each.ledger.lines + LINES_BEFORE);
  await stage.waitFor('more lines', async () =>
    a.ledger.lines >= goals[0]! && b.ledger.lines >= goals[1]! ? true : null,
  );
}

function verify(stage: Stage, screen: Screen, home: ServerName, writer: Writer): Wrong[] {
  const { ledger } = writer;
  const found = contentsOf(join(stage.volume(home), OPERATIONS_DIRECTORY));
  const lines = readFileSync(join(stage.volume(home), LINES_FILE), 'latin1');
  const wrong = ledger.verify(found, lines);
  const lost = wrong.filter((each) => each.kind === 'Lost');
  const twice = wrong.filter((each) => each.kind === 'ExecutedTwice');
  const counts = `${ledger.lines} lines and ${ledger.operations} operations acknowledged`;
  screen.verdict(lost.length === 0, `${home}: ${counts}, ${lost.length} lost`);
  screen.verdict(twice.length === 0, `${home}: ${twice.length} operations executed twice`);
  for (const each of wrong.slice(0, 10)) screen.line(`     ${each.kind}: ${each.what}`);
  return wrong;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function roundedPhase({ name, atMs }: PhaseRecord): PhaseRecord {
  return { name, atMs: rounded(atMs) };
}
