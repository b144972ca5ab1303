/**
 * A volume with its journal and its operation log in this thread. Tests submit operations of their own making, stop the owner at
 * any step, and look at what the next one finds.
 */

import * as nfs from '../../protocol/nfs3.ts';
import { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import { openMessage } from '../data-path/data-thread.fixture.ts';
import { ExportSpecs } from '../exports/export-specs.ts';
import { DuplicateRequestCache } from '../storage/duplicate-requests/duplicate-request-cache.ts';
import type { Pacing } from '../storage/duplicate-requests/group-pacing.ts';
import type { Check, Plan } from '../storage/duplicate-requests/journaled-operation.ts';
import { OperationLog } from '../storage/duplicate-requests/operation-log.ts';
import type { OperationLogHooks } from '../storage/duplicate-requests/operation-log-hooks.ts';
import type { OperationStep } from '../storage/duplicate-requests/operation-step.ts';
import { DiskSet } from '../storage/files/disk-set.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { openVolume, type PreparedVolume } from '../storage/volume/open-volume.ts';
import type { FaultListener, Volume } from '../storage/volume/volume.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import { type Identity, SERVER_IDENTITY } from '../system/thread-identity.ts';
import type { WriteGate } from '../system/write-gate.ts';
import { Request } from './journaled-procedure.ts';
import { NfsContext } from './nfs-context.ts';
import { journaledProcedures } from './program.ts';
import { type RecoverySummary, recover, settleIntent } from './recovery.ts';

/** null: SYSTEM_ERR. */
export type Answer = Uint8Array | null;

/** The nfsstat3; null: SYSTEM_ERR. */
export function statusOf(answer: Answer): number | null {
  return answer === null ? null : new XdrReader(answer).u32();
}

/** The plan of an operation that is to be executed. */
export function planOf(request: Request): Plan {
  const { plan } = request.check();
  if (plan === null) throw new Error(`${request.operation} is refused`);
  return plan;
}

/** Something else becomes of what the operation's check says. */
export function changed(request: Request, change: (check: Check) => Check): void {
  const check = request.check.bind(request);
  request.check = () => change(check());
}

/** Other methods of its plan. */
export function changedPlan(request: Request, methods: Partial<Plan>): void {
  changed(request, (check) => {
    if (check.plan !== null) Object.defineProperties(check.plan, Object.getOwnPropertyDescriptors(methods));
    return check;
  });
}

export class ServedVolume {
  readonly volume: Volume;
  readonly diskSet: DiskSet;
  readonly cache: DuplicateRequestCache;
  readonly context: NfsContext;
  readonly faults: string[];
  /** What onBug() was told. */
  readonly said: string[];
  /** Of operations and of the queue. */
  onStep: (operation: string, step: OperationStep) => void;
  queue!: OperationLog;
  summary!: RecoverySummary;
  #killed: boolean;

  private constructor(volume: Volume, faults: string[]) {
    this.volume = volume;
    this.faults = faults;
    this.said = [];
    this.#killed = false;
    this.onStep = () => {};
    const { exports } = openMessage(volume.spec.path);
    this.diskSet = new DiskSet([volume], new ExportSpecs(exports!), { filesMax: 1000, descriptorsMax: 1000 });
    this.cache = new DuplicateRequestCache();
    this.context = new NfsContext(this.diskSet, {
      logOf: () => this.queue,
      onBug: (error) => this.said.push(String(error)),
      onStep: (operation, step) => this.onStep(operation, step),
    });
  }

  /** Opened by one server in odd epochs, by its partner in even ones. onStep: of the recovery. */
  static async open(
    path: string,
    epoch: number,
    onStep: (operation: string, step: OperationStep) => void = () => {},
    pacing?: Pacing,
    gate: WriteGate = OPEN,
    prepared: PreparedVolume | null = null,
  ): Promise<ServedVolume> {
    const server = epoch % 2 === 1 ? 'filer-a' : 'filer-b';
    const owner = { home: 'filer-a', server, incarnation: `${server}/${epoch}`, epoch };
    const faults: string[] = [];
    const onFault: FaultListener = (_volume, reason) => faults.push(reason);
    const volume = await openVolume({ name: 'data', path }, owner, gate, onFault, prepared);
    const served = new ServedVolume(volume, faults);
    try {
      await served.#recover(onStep, pacing);
    } catch (error) {
      await served.diskSet.close();
      throw error;
    }
    return served;
  }

  async #recover(onStep: ServedVolume['onStep'], pacing?: Pacing): Promise<void> {
    const { volume, diskSet, cache, context } = this;
    this.onStep = onStep;
    this.summary = await recover(context, volume, diskSet.table, cache);
    this.onStep = () => {};
    const step = (operation: string, at: OperationStep): void => this.onStep(operation, at);
    const hooks: OperationLogHooks = {
      mayServe: () => {
        if (this.#killed || !volume.gate.begin()) return false;
        volume.gate.end();
        return true;
      },
      onStopped: () => {},
      onStep: step,
      intents: volume.intents,
      // A dead process settles nothing.
      settle: (intent, flushes) =>
        this.#killed
          ? { outcome: 'notBegun' }
          : diskSet.asRecorded(() => settleIntent(context, intent, flushes)),
      onBug: (whose, error) => this.said.push(`${whose}: ${(error as Error).message}`),
      journalDisabled: false,
    };
    this.queue = new OperationLog(volume, diskSet.table, cache, hooks, pacing);
  }

  /** Of this moment on nothing is executed, recorded or answered, as if the process had been killed. */
  kill(): void {
    this.#killed = true;
    this.queue.stop();
  }

  get isKilled(): boolean {
    return this.#killed;
  }

  /** Gives back descriptors and memory. */
  async close(): Promise<void> {
    this.kill();
    await this.diskSet.close();
  }

  /** Of a path below the volume's root; '' is the root itself. */
  file(path: string): OpenFile {
    const { diskSet } = this;
    let found = diskSet.rootOf(diskSet.exports.all[0]!);
    for (const name of path.split('/')) {
      if (typeof found === 'string') break;
      if (name !== '') found = diskSet.lookup(found, Buffer.from(name), SERVER_IDENTITY);
    }
    if (typeof found === 'string') throw new Error(`${path}: ${found}`);
    return found;
  }

  /** A call of this procedure, which is bound. */
  operation<Name extends nfs.Nfs3Name>(
    name: Name,
    args: nfs.Nfs3Calls[Name]['args'],
    key = 'k',
    user: Identity = SERVER_IDENTITY,
  ): Request {
    const w = new XdrWriter();
    nfs.nfs3Procedures[name].args.encode(w, args);
    return this.make(nfs.nfsproc3[name], w.written().slice(), key.padEnd(16, '.'), user);
  }

  /** Bound; null: that was refused, and its results say why. Throws XdrError for malformed arguments. */
  make(procedure: number, args: Uint8Array, key: string, user: Identity): Request {
    const request = new Request(this.context, key, journaledProcedures.get(procedure)!, args, () => user);
    request.bind();
    return request;
  }

  /** As a call that has come: a known one gets its answer, others are executed. Never resolves once it is killed. */
  submit(operation: Request): Promise<Answer> {
    const known = this.cache.find(operation.key);
    if (known instanceof Uint8Array) return Promise.resolve(known);
    return new Promise((resolve) => {
      const listener = (results: Answer): void => {
        if (!this.#killed) resolve(results);
      };
      if (this.cache.admit(operation.key, listener) === 'execute') this.queue.submit(operation);
    });
  }

  idle(): Promise<void> {
    return new Promise((resolve) => this.queue.whenIdle(resolve));
  }
}
