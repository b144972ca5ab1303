/**
 * One disk set, between the driver and the data path: hands over what the driver decides, feeds it what the data path reports, and
 * keeps what status, metrics and the Lease say of it.
 */
import type { ServerName } from '../../pair/incarnation.ts';
import type { WrittenVolumes } from '../../pair/lease.ts';
import type { DiskSetSide, Input } from '../../pair/types.ts';
import { unpacked } from '../exports/export-specs.ts';
import type { Log } from '../logging/log.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import type { PairShares } from '../shares/pair-shares.ts';
import type { VolumeErrorCount } from '../storage/failures/volume-errors.ts';
import { bootMs } from '../system/boottime.ts';
import type { AbsentExport, FromDataThread, OpenedMessage, OpenFailedMessage } from '../threads/messages.ts';
import type { FreezeAnswer, LeaseNotes, Witness } from '../witness/witness.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import type { DataThread } from './data-thread.ts';
import type { LiveExports } from './live-exports.ts';
import type { OpenFailureStatus, ServedStatus } from './status.ts';
import { StuckVolumes } from './stuck-volumes.ts';
import type { Transitions } from './transitions.ts';
import { VolumeErrorLog } from './volume-error-log.ts';

/** After the lease was cut: between two checks whether a change is still under way. */
const CHANGES_POLL_MS = 2;
/** A transition whose first request has not come within this time is written down without it. */
const ANNOTATE_AFTER_MS = 250;
/** Between two notes to the operator about a volume's errors, while there are some. */
const VOLUME_ERRORS_NOTED_EVERY_MS = 60_000;
/** Exports that the Lease names of those that are not served. */
const ABSENT_NOTED_MAX = 10;

export interface DiskSetParts {
  readonly server: ServerName;
  readonly dataThread: DataThread;
  readonly leases: LeaseTable;
  readonly exports: LiveExports;
  /** null: exports are those of the configuration. */
  readonly shares: PairShares | null;
  readonly transitions: Transitions;
  readonly measured: AgentMetrics;
  readonly witness: Witness;
  readonly log: Log;
  readonly feed: (input: Input) => void;
}

export class DiskSetPort {
  readonly home: ServerName;
  readonly side: DiskSetSide;
  readonly stuckVolumes = new StuckVolumes();
  readonly #parts: DiskSetParts;
  readonly #volumeErrors = new VolumeErrorLog();
  /** Epoch of the last order to open that the data thread got. */
  #epoch = 0;
  #exports: readonly ExportSpec[] = [];
  #port: number | null = null;
  /** Failure of this server's last attempt to open it. */
  #openFailure: OpenFailureStatus | null = null;
  #absentExports: readonly AbsentExport[] = [];
  /** Runs while the Lease has a note of the volumes' errors. */
  #errorsNoted: NodeJS.Timeout | null = null;

  constructor(home: ServerName, parts: DiskSetParts) {
    this.home = home;
    this.side = home === parts.server ? 'local' : 'partner';
    this.#parts = parts;
  }

  status(now: number): ServedStatus {
    return {
      leaseMsLeft: Math.max(0, Math.round(this.#parts.leases.deadline(this.side) - now)),
      port: this.#port,
      stuckVolumes: this.stuckVolumes.now(now),
      volumeErrors: this.#volumeErrors.recent(now),
      openFailure: this.#openFailure,
      absentExports: this.#absentExports,
    };
  }

  // ------------------------------------------------------------------------------------------ for the driver

  grant(until: number | null): void {
    this.#parts.leases.set(this.side, until ?? 0);
    if (until === null) this.#awaitChanges();
  }

  /** Threads that get no processor say late that they have closed; this thread sees at once that they change nothing. */
  #awaitChanges(): void {
    const { leases, feed } = this.#parts;
    if (leases.deadline(this.side) !== 0) return;
    if (leases.isChanging(this.side)) setTimeout(() => this.#awaitChanges(), CHANGES_POLL_MS);
    else feed({ kind: 'changesEnded', home: this.home });
  }

  open(epoch: number, written: WrittenVolumes | undefined): void {
    const { shares, dataThread } = this.#parts;
    this.#epoch = epoch;
    if (shares === null) this.#exports = this.#parts.exports.of(this.home);
    const exports = shares === null ? unpacked(this.#exports) : shares.opening(this.home);
    dataThread.open(this.side, epoch, exports, written);
  }

  close(mode: 'quiesce' | 'fence'): void {
    this.#parts.dataThread.close(this.side, mode);
    if (this.side === 'partner') this.#note({ secondaryPortOpen: null });
  }

  freeze(id: string, msMax: number): void {
    this.#parts.log.info(`${this.home} is frozen for a snapshot (${id}), for ${msMax} ms at most.`);
    this.#parts.dataThread.freeze(this.side, id, msMax);
  }

  // ------------------------------------------------------------------------------------- from the data path

  received(message: FromDataThread): void {
    const { home, stuckVolumes } = this;
    const { exports, shares, transitions, log, feed } = this.#parts;
    switch (message.kind) {
      case 'opened':
        this.#opened(message);
        return;
      case 'openFailed':
        this.#openFailed(message);
        return;
      case 'closed':
        this.#port = null;
        shares?.closed(home);
        this.#absentExports = [];
        this.#forgetVolumes();
        clearTimeout(this.#errorsNoted ?? undefined);
        this.#errorsNoted = null;
        transitions.closed(home, bootMs());
        feed({ kind: 'diskSetClosed', home });
        return;
      case 'fault': {
        const { volume, reason, message: text } = message;
        log.error(`${home}, volume ${volume}, cannot be served on (${reason}): ${text}`);
        feed({ kind: 'diskSetFault', home, reason, message: text });
        return;
      }
      case 'halted': {
        const text = 'the data path found the right to serve over and has stopped';
        feed({ kind: 'diskSetFault', home, reason: 'RightLost', message: text });
        return;
      }
      case 'volumeWaits':
        stuckVolumes.waits(message.volume, message.sinceBootMs);
        return;
      case 'volumeErrors':
        this.#volumeFailed(message.volume, message.errors);
        return;
      case 'stalled':
        feed({ kind: 'volumeStalled', home, volume: message.volume, waitedMs: message.waitedMs });
        return;
      case 'held':
        this.#freezeAnswered({ id: message.id, state: 'Standing', message: '' });
        return;
      case 'resumed': {
        const { id, whole, message: text } = message;
        this.#freezeAnswered({ id, state: whole ? 'Whole' : 'Broken', message: text });
        return;
      }
      case 'exportsReplaced':
        if (shares !== null) {
          shares.replaced(home);
          return;
        }
        this.#exports = message.exports;
        exports.taken(home, message.exports);
        return;
      case 'exportsChanged':
        shares?.exportsInForce(home, message.number);
        return;
      case 'directoryRemoved':
        shares?.directoryRemoved(home, message.id, message.result);
        return;
      case 'exportsRefused':
        exports.refused(home, message.exports, message.message);
        return;
      case 'absentExports': {
        this.#absentExports = message.exports
          .filter(({ cause }) => cause !== 'DirectoryNotMadeYet')
          .map(({ path, reason }) => ({ path, reason }));
        shares?.absent(home, message.exports);
        const text = sentenceOf(this.#absentExports);
        this.#note({ absentExports: text === '' ? null : this.#noteOf(text) });
        return;
      }
      case 'directoriesKnown':
        shares?.directoriesKnown(home);
        return;
      case 'firstReply':
        transitions.firstReply(home, message.atBootMs);
        return;
      case 'log':
        log.log(message.level, `${home}: ${message.message}`);
        return;
      default:
        message satisfies never;
    }
  }

  #opened({ port, phases, volumes }: OpenedMessage): void {
    const { home } = this;
    const epoch = this.#epoch;
    const { exports, shares, transitions, feed } = this.#parts;
    this.#port = port;
    this.#openFailure = null;
    this.#forgetVolumes();
    exports.taken(home, this.#exports);
    shares?.served(home);
    transitions.opened(home, phases);
    feed({ kind: 'diskSetOpened', home, epoch });
    this.#note({ written: { epoch, volumes }, openFailure: null });
    if (this.side === 'partner') this.#note({ secondaryPortOpen: epoch });
    // The report includes the first reply, if one comes soon.
    setTimeout(() => {
      const transition = transitions.of(home);
      if (transition?.epoch !== epoch) return;
      const { home: _, startedBootMs: __, ...lastTransition } = transition;
      this.#note({ lastTransition });
    }, ANNOTATE_AFTER_MS);
  }

  #openFailed({ reason, message, epochFound }: OpenFailedMessage): void {
    const { home } = this;
    const epoch = this.#epoch;
    const { server, exports, log, feed } = this.#parts;
    log.error(`${home} could not be opened (${reason}): ${message}`);
    if (reason === 'InvalidExport') exports.refused(home, this.#exports, message);
    this.#openFailure = { epoch, reason, message };
    this.#note({ openFailure: { server, ...this.#openFailure } });
    const found = epochFound === undefined ? {} : { epochFound };
    feed({ kind: 'diskSetOpenFailed', home, epoch, reason, message: `${reason}: ${message}`, ...found });
  }

  #forgetVolumes(): void {
    this.stuckVolumes.forget();
    this.#volumeErrors.forget();
  }

  /** Clients were told of these errors; the volume is served on. */
  #volumeFailed(volume: string, errors: readonly VolumeErrorCount[]): void {
    const { measured, log } = this.#parts;
    for (const { call, errno, count } of errors)
      measured.volumeErrors.inc({ disk_set: this.home, volume, call, errno }, count);
    for (const line of this.#volumeErrors.add(volume, errors, bootMs())) log.warn(`${this.home}: ${line}`);
    if (this.#errorsNoted === null) this.#noteErrors();
  }

  #noteErrors(): void {
    const message = this.#volumeErrors.sentence(bootMs());
    this.#note({ volumeErrors: message === null ? null : this.#noteOf(message) });
    this.#errorsNoted =
      message === null ? null : setTimeout(() => this.#noteErrors(), VOLUME_ERRORS_NOTED_EVERY_MS).unref();
  }

  #freezeAnswered(freezeAnswer: FreezeAnswer): void {
    const { id, state, message } = freezeAnswer;
    this.#parts.log.info(`Freeze ${id} of ${this.home}: ${state}${message === '' ? '' : `: ${message}`}.`);
    this.#note({ freezeAnswer });
  }

  #noteOf(message: string) {
    return { server: this.#parts.server, epoch: this.#epoch, message };
  }

  #note(notes: LeaseNotes): void {
    this.#parts.witness.annotate(this.home, notes);
  }
}

function sentenceOf(absent: readonly AbsentExport[]): string {
  const named = absent.slice(0, ABSENT_NOTED_MAX).map(({ reason }) => reason);
  const more = absent.length - named.length;
  return [...named, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
