/**
 * The FilerShares of a pair, in each of its servers. Watches them and gives their exports to the data path. Says in their statuses
 * what has become of them, as far as this server serves their disk sets.
 */
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { withFields } from '../../kubernetes/kept-fields.ts';
import { Reflector } from '../../kubernetes/reflector.ts';
import { apiVersionOf, resources } from '../../kubernetes/resource.ts';
import { SHARE_FINALIZER, shareFieldManagers } from '../../kubernetes/share-conditions.ts';
import type { ServerName } from '../../pair/incarnation.ts';
import type { Log } from '../logging/log.ts';
import type { ExportChanges, ExportSpec, GivenExports } from '../settings/export-spec.ts';
import type { RemovalResult } from '../storage/directories/directory-remover.ts';
import { repeat } from '../system/turns.ts';
import type { AbsentExport } from '../threads/messages.ts';
import { directoryOf, SHARE_FIELDS, type ShareObject } from './share-object.ts';
import { type DirectoryNews, type ShareFacts, statusToApply } from './share-status.ts';
import { type PlacedShare, ShareTable } from './share-table.ts';
import { StandingExports } from './standing-exports.ts';
import { StatusWriter } from './status-writer.ts';

/** Changes that come together are given together. ms */
const TOGETHER_MS = 5;
/** A claim needs the API, and finds the shares as they are then: the watch is back sooner than the ten seconds of most controllers. ms */
const WATCH_RETRY_MS_MAX = 2000;
/** Between two attempts to delete a directory. ms */
const DELETE_AGAIN_MS = 10_000;

/** Requests of the shares to the data path. Each is about a disk set, and none of them is answered where that is not open. */
export interface ShareTarget {
  replace(home: ServerName, exports: readonly ExportSpec[]): void;
  change(home: ServerName, changes: ExportChanges, number: number): void;
  removeDirectory(home: ServerName, id: string, volume: string, directory: string): void;
  forgetRemoval(home: ServerName, id: string, volume: string): void;
}

export interface PairSharesOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly pair: string;
  /** Names of the volumes of each disk set. */
  readonly volumes: ReadonlyMap<ServerName, readonly string[]>;
  /** Names under which clients find the servers. */
  readonly serviceNames: Readonly<Record<ServerName, string>>;
  readonly log: Log;
}

/** A disk set that this server opens or serves. */
interface OpenDiskSet {
  isServed: boolean;
  /** Every export's directory is known to be there or not: nothing is said of shares before. */
  directoriesKnown: boolean;
  /** Last change that was given, and last that is in force. */
  given: number;
  inForce: number;
  /** By path. */
  absent: Map<string, AbsentExport>;
  /** Directories that were asked to be deleted, and what has become of it, by the UID of the share. */
  readonly directories: Map<string, DirectoryNews>;
}

interface Written {
  readonly version: string | undefined;
  readonly text: string;
}

export class PairShares {
  readonly #options: PairSharesOptions;
  readonly #reflector: Reflector<ShareObject>;
  readonly #table: ShareTable;
  readonly #standing: ReadonlyMap<ServerName, StandingExports>;
  readonly #writer: StatusWriter;
  readonly #open: Map<ServerName, OpenDiskSet>;
  /** Change with which an export was given last, by path and disk set. */
  readonly #givenWith: Map<string, number>;
  /** Status that was written of a share, and of which version, until the watch brings another. */
  readonly #written: Map<string, Written>;
  #target: ShareTarget | null;
  /** They were listed once. */
  #known: boolean;
  #giving: NodeJS.Timeout | null;
  #deleting: NodeJS.Timeout | null;

  constructor(options: PairSharesOptions) {
    const { client, namespace, pair, volumes, log } = options;
    this.#options = options;
    this.#table = new ShareTable(volumes);
    const homes = [...volumes.keys()];
    this.#standing = new Map(
      homes.map((home) => [home, new StandingExports(() => this.#table.exportsOf(home))]),
    );
    this.#open = new Map();
    this.#givenWith = new Map();
    this.#written = new Map();
    this.#target = null;
    this.#known = false;
    this.#giving = null;
    this.#deleting = null;
    this.#writer = new StatusWriter({
      write: (name) => this.#write(name),
      log: (message) => log.warn(message),
    });
    this.#reflector = new Reflector<ShareObject>({
      client,
      resource: resources.filerShares,
      namespace,
      fieldSelector: `spec.pairRef.name=${pair}`,
      trim: (object) => withFields(object, SHARE_FIELDS, () => false),
      asText: true,
      onChange: (change) => {
        if (change.kind === 'deleted') this.#deleted(change.previous);
        else this.#table.put(change.object);
        this.#giveSoon();
      },
      onListed: () => this.#listed(),
      onError: (error, retryInMs) =>
        log.warn(`FilerShares are not watched, again in ${Math.round(retryInMs)} ms: ${error.message}`),
      retryMsMax: WATCH_RETRY_MS_MAX,
    });
  }

  /** Resolves when they are listed, or after msMax: the API may be away. */
  async start(target: ShareTarget, msMax: number): Promise<void> {
    this.#target = target;
    this.#reflector.start();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => late.resolve(), msMax);
    await Promise.race([this.#reflector.whenListed(), late.promise]);
    clearTimeout(timer);
    if (!this.#reflector.listed)
      this.#options.log.warn(`FilerShares were not listed within ${msMax} ms; copies on the volumes count.`);
    this.#deleting = repeat(() => this.#deleteDirectories(), DELETE_AGAIN_MS);
    this.#deleting.unref();
  }

  async stop(): Promise<void> {
    this.#writer.stop();
    if (this.#giving !== null) clearTimeout(this.#giving);
    if (this.#deleting !== null) clearInterval(this.#deleting);
    await this.#reflector.stop();
  }

  exportsOf(home: ServerName): readonly ExportSpec[] {
    return this.#table.exportsOf(home);
  }

  // ------------------------------------------------------------------------------------ what the data path says

  /** The disk set is being opened, with these; null: they are not known. Later changes are given to it. */
  opening(home: ServerName): GivenExports | null {
    this.#give();
    this.#open.set(home, {
      isServed: false,
      directoriesKnown: false,
      given: 0,
      inForce: 0,
      absent: new Map(),
      directories: new Map(),
    });
    return this.#known ? (this.#standing.get(home)?.now ?? null) : null;
  }

  served(home: ServerName): void {
    const diskSet = this.#open.get(home);
    if (diskSet === undefined) return;
    diskSet.isServed = true;
    this.#lookAtSharesOf(home);
    this.#deleteDirectories();
  }

  /** Those of directories that are not there are `absent`. */
  directoriesKnown(home: ServerName): void {
    const diskSet = this.#open.get(home);
    if (diskSet === undefined) return;
    diskSet.directoriesKnown = true;
    this.#lookAtSharesOf(home);
  }

  #lookAtSharesOf(home: ServerName): void {
    const { isServed, directoriesKnown } = this.#open.get(home)!;
    if (!isServed || !directoriesKnown) return;
    for (const share of this.#table.values()) if (share.home === home) this.#writer.look(share.name);
  }

  closed(home: ServerName): void {
    this.#open.delete(home);
    for (const key of this.#givenWith.keys()) if (key.startsWith(`${home} `)) this.#givenWith.delete(key);
  }

  exportsInForce(home: ServerName, number: number): void {
    const diskSet = this.#open.get(home);
    if (diskSet === undefined) return;
    diskSet.inForce = Math.max(diskSet.inForce, number);
    for (const [key, given] of this.#givenWith) {
      if (!key.startsWith(`${home} `) || given > number) continue;
      this.#givenWith.delete(key);
      this.#lookAtPath(home, key.slice(home.length + 1));
    }
  }

  /** All of them, as `exports` were given whole. */
  replaced(home: ServerName): void {
    const diskSet = this.#open.get(home);
    if (diskSet === undefined) return;
    this.exportsInForce(home, diskSet.given);
    this.#lookAtSharesOf(home);
  }

  absent(home: ServerName, exports: readonly AbsentExport[]): void {
    const diskSet = this.#open.get(home);
    if (diskSet === undefined) return;
    const before = diskSet.absent;
    diskSet.absent = new Map(exports.map((one) => [one.path, one]));
    const paths = new Set([...before.keys(), ...diskSet.absent.keys()]);
    for (const path of paths)
      if (before.get(path)?.reason !== diskSet.absent.get(path)?.reason) this.#lookAtPath(home, path);
  }

  directoryRemoved(home: ServerName, uid: string, { outcome, message }: RemovalResult): void {
    const news: DirectoryNews = {
      removed: { status: 'True', reason: 'Deleted' },
      absent: { status: 'True', reason: 'DirectoryAbsent' },
      inUse: { status: 'False', reason: 'InUse' },
      failed: { status: 'False', reason: 'CannotBeDeleted' },
    }[outcome] as DirectoryNews;
    const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
    this.#open.get(home)?.directories.set(uid, { ...news, message: text });
    for (const share of this.#table.values()) if (share.uid === uid) this.#writer.look(share.name);
  }

  // ------------------------------------------------------------------------------------------- what the API says

  #listed(): void {
    if (this.#known) return;
    this.#known = true;
    this.#options.log.info(`${this.#reflector.size} FilerShares of ${this.#options.pair}.`);
    // Open disk sets were opened with copies.
    const { shares } = this.#take();
    for (const home of this.#open.keys()) {
      const diskSet = this.#open.get(home)!;
      diskSet.given += 1;
      diskSet.directoriesKnown = false;
      for (const { path } of this.#table.exportsOf(home))
        this.#givenWith.set(`${home} ${path}`, diskSet.given);
      this.#target?.replace(home, this.#table.exportsOf(home));
    }
    this.#look(shares);
  }

  #deleted({ metadata }: ShareObject): void {
    const share = this.#table.get(metadata.name!);
    this.#table.remove(metadata.name!);
    this.#written.delete(metadata.name!);
    if (share === undefined || !this.#open.get(share.home)?.directories.delete(share.uid)) return;
    this.#target?.forgetRemoval(share.home, share.uid, share.export.volume);
  }

  #giveSoon(): void {
    if (this.#giving !== null || !this.#known) return;
    this.#giving = setTimeout(() => this.#give(), TOGETHER_MS);
  }

  #take() {
    if (this.#giving !== null) clearTimeout(this.#giving);
    this.#giving = null;
    const changes = this.#table.take();
    for (const [home, one] of changes.exports) this.#standing.get(home)!.note(one);
    return changes;
  }

  #give(): void {
    if (!this.#known) return;
    const { exports, shares } = this.#take();
    for (const [home, changes] of exports) {
      const diskSet = this.#open.get(home);
      if (diskSet === undefined) continue;
      diskSet.given += 1;
      for (const { path } of changes.set) this.#givenWith.set(`${home} ${path}`, diskSet.given);
      this.#target?.change(home, changes, diskSet.given);
    }
    this.#look(shares);
  }

  #look(names: readonly string[]): void {
    let deletes = false;
    for (const name of names) {
      this.#writer.look(name);
      deletes ||= this.#table.get(name)?.deleting === true;
    }
    if (deletes) this.#deleteDirectories();
  }

  #lookAtPath(home: ServerName, path: string): void {
    for (const name of this.#table.namesAt(home, path)) this.#writer.look(name);
  }

  // --------------------------------------------------------------------------------------------- directories

  #deleteDirectories(): void {
    for (const share of this.#table.values()) {
      const diskSet = this.#open.get(share.home);
      if (!share.deleting || diskSet?.isServed !== true) continue;
      if (diskSet.directories.get(share.uid)?.status === 'True') continue;
      const object = this.#object(share.name);
      const said = object === undefined ? null : saidOfDirectory(object, share);
      if (said !== null) {
        diskSet.directories.set(share.uid, said);
        this.#writer.look(share.name);
        continue;
      }
      const directory = object === undefined ? null : doomedDirectory(object, share);
      if (directory === null) continue;
      if (!diskSet.directories.has(share.uid)) diskSet.directories.set(share.uid, IN_PROGRESS);
      this.#writer.look(share.name);
      this.#target?.removeDirectory(share.home, share.uid, share.export.volume, directory);
    }
  }

  // ------------------------------------------------------------------------------------------------- statuses

  #object(name: string): ShareObject | undefined {
    return this.#reflector.get(this.#options.namespace, name);
  }

  /** null: nothing is to be said, or not by this server. */
  #write(name: string): Promise<unknown> | null {
    const share = this.#table.get(name);
    const object = this.#object(name);
    const facts = share === undefined ? null : this.#factsOf(share);
    if (object === undefined || facts === null) return null;
    const status = statusToApply(object, facts, `${new Date().toISOString().slice(0, 19)}Z`);
    if (status === null) return null;
    const version = object.metadata.resourceVersion;
    const text = JSON.stringify(facts);
    const written = this.#written.get(name);
    if (written?.version === version && written?.text === text) return null;
    return this.#apply(object, status).then(() => this.#written.set(name, { version, text }));
  }

  #apply({ metadata }: ShareObject, status: ShareObject['status']): Promise<unknown> {
    const { client, namespace } = this.#options;
    const { name, uid } = metadata;
    const object = {
      apiVersion: apiVersionOf(resources.filerShares),
      kind: resources.filerShares.kind,
      metadata: { namespace, name, uid } as ShareObject['metadata'],
      status,
    };
    return client.apply(resources.filerShares, object, shareFieldManagers.server, { subresource: 'status' });
  }

  /** null: this server does not serve it, or does not know yet. */
  #factsOf(share: PlacedShare): ShareFacts | null {
    const diskSet = this.#open.get(share.home);
    if (diskSet?.isServed !== true || !diskSet.directoriesKnown) return null;
    const { path } = share.export;
    const given = this.#givenWith.get(`${share.home} ${path}`);
    if (share.verdict.accepted && !share.deleting && given !== undefined) return null;
    const directory = diskSet.directories.get(share.uid) ?? null;
    // A share that is deleted without us leaves no trace.
    if (share.deleting && directory === null) return null;
    const absent = diskSet.absent.get(path);
    const cause = absent?.cause ?? 'DirectoryAbsent';
    if (cause === 'DirectoryNotMadeYet') return null;
    return {
      verdict: share.verdict,
      path,
      serviceName: this.#options.serviceNames[share.home] ?? share.home,
      absent: absent === undefined ? null : { cause, reason: absent.reason },
      directory,
      deleting: share.deleting,
    };
  }
}

const IN_PROGRESS: DirectoryNews = {
  status: 'False',
  reason: 'InProgress',
  message: 'The directory is being deleted, with everything in it.',
};

/** The directory's news to report, also if an owner before has deleted it. null: it is not known, or not done yet. */
function saidOfDirectory(object: ShareObject, { verdict }: PlacedShare): DirectoryNews | null {
  const said = object.status?.conditions?.find(({ type }) => type === 'DirectoryDeleted');
  if (said?.status === 'True') {
    const { reason, message } = said;
    return { status: 'True', reason: reason as DirectoryNews['reason'], message };
  }
  if (verdict.accepted || verdict.reason !== 'DirectoryReserved') return null;
  const message = 'It never had a directory: nothing is deleted.';
  return { status: 'True', reason: 'DirectoryAbsent', message };
}

/** The directory that goes with the share; null: it stays. */
function doomedDirectory(object: ShareObject, { verdict }: PlacedShare): string | null {
  const { metadata, spec } = object;
  if (spec.deletionPolicy !== 'Delete' || metadata.finalizers?.includes(SHARE_FINALIZER) !== true)
    return null;
  return !verdict.accepted && verdict.reason === 'VolumeNotServed' ? null : directoryOf(object);
}
