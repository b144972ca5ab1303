/** A directory of a volume that clients may mount, and on what terms. Immutable: a change makes new ones. */

import { type ClientNetworks, clientNetworksOf } from '../../exports/client-networks.ts';
import { parseExportDirectory } from '../../exports/export-directory.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import type { Identity } from '../../system/thread-identity.ts';
import { exportIdOf } from '../handles/file-handle.ts';
import type { Volume } from '../volume/volume.ts';

/** present: clients may use it. recorded: see RecordedExports. withdrawn: see Export.withdrawn. */
type Validity = 'present' | 'recorded' | 'withdrawn';

/** From lower ones only a process with CAP_NET_BIND_SERVICE connects. */
const RESERVED_PORTS = 1024;

export class Export {
  readonly path: string;
  /** The path's UTF-8 bytes, one character a byte: what clients send may be any bytes. */
  readonly wirePath: string;
  /** In file handles. */
  readonly id: number;
  readonly volume: Volume;
  /** Names from the volume's root down to the exported directory; empty for the root itself. */
  readonly directory: readonly Uint8Array[];
  /**
   * Directories could be moved out of it without leaving the file system: then a handle says nothing of where its
   * object is today, and it has to be looked at.
   */
  readonly canBeLeft: boolean;
  readonly readOnly: boolean;
  readonly squash: ExportSpec['squash'];
  readonly anonymous: Identity;
  readonly #clients: ClientNetworks;
  readonly #reservedPorts: boolean;
  readonly spec: ExportSpec;
  /** Identity key of the exported directory; `..` stops there. Empty: it is not there, and the export is not served. */
  rootKey: string;
  /** It is exported no longer: a stand-in for the files that calls in progress still have. It allows nothing. */
  readonly withdrawn: boolean;
  #successor: Export | null;

  /** The specification is one that faultOfExports() finds no fault with. */
  constructor(
    spec: ExportSpec,
    volume: Volume,
    validity: Validity = 'present',
    id: number = exportIdOf(spec.path),
  ) {
    this.path = spec.path;
    this.wirePath = Buffer.from(spec.path).toString('latin1');
    this.id = id;
    this.volume = volume;
    this.directory = parseExportDirectory(spec);
    this.withdrawn = validity === 'withdrawn';
    const larger = this.directory.length > 0 || !volume.isWholeFileSystem;
    this.canBeLeft = this.withdrawn || (larger && validity === 'present');
    this.readOnly = spec.access === 'ReadOnly';
    this.squash = spec.squash;
    this.anonymous = { uid: spec.anonymousUid, gid: spec.anonymousGid, groups: [] };
    this.#clients = clientNetworksOf(spec.clients);
    this.#reservedPorts = spec.ports === 'Reserved';
    this.spec = spec;
    this.rootKey = '';
    this.#successor = null;
  }

  /** May calls come from there? */
  isFor(host: string, port: number): boolean {
    return this.#clients.includes(host) && (!this.#reservedPorts || (port > 0 && port < RESERVED_PORTS));
  }

  /** What the files of this export are bound to once it is exported no longer. */
  withdraw(): Export {
    const spec: ExportSpec = { ...this.spec, access: 'ReadOnly', squash: 'All', clients: [] };
    this.#successor ??= new Export(spec, this.volume, 'withdrawn', this.id);
    return this.#successor;
  }
}

/** Exports of a disk set by the number in handles and by path. No look-up depends on how many there are. */
export class ExportTable {
  readonly #byId: Map<number, Export>;
  /** By wirePath. */
  readonly #byPath: Map<string, Export>;

  constructor(exports: readonly Export[] | ExportTable) {
    const shared = exports instanceof ExportTable;
    this.#byId = shared ? exports.#byId : new Map(exports.map((one) => [one.id, one]));
    this.#byPath = shared ? exports.#byPath : new Map(exports.map((one) => [one.wirePath, one]));
  }

  /** The table after some exports were replaced: another object, so that a call that remembers the table looks again. This one is used no more. */
  changed(set: readonly Export[], removed: readonly Export[]): ExportTable {
    for (const { id, wirePath } of removed) {
      this.#byId.delete(id);
      this.#byPath.delete(wirePath);
    }
    for (const one of set) {
      this.#byId.set(one.id, one);
      this.#byPath.set(one.wirePath, one);
    }
    return new ExportTable(this);
  }

  get all(): readonly Export[] {
    return [...this];
  }

  /** Without a list of them: for each removed object. */
  [Symbol.iterator](): IterableIterator<Export> {
    return this.#byPath.values();
  }

  atPath(path: string): Export | undefined {
    return this.#byPath.get(Buffer.from(path).toString('latin1'));
  }

  /** The one with this number in handles of this volume, if it is served. */
  of(volume: Volume, id: number): Export | undefined {
    const one = this.#byId.get(id);
    return one?.volume === volume && one.rootKey !== '' ? one : undefined;
  }

  /** The export that a mount path (one character a byte) lies in, and what follows; null if it lies in none. */
  find(path: string): { readonly found: Export; readonly below: string } | null {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const found = this.#byPath.get(path.slice(0, end));
      if (found !== undefined) return { found, below: path.slice(end) };
    }
    const root = path.startsWith('/') ? this.#byPath.get('/') : undefined;
    return root === undefined ? null : { found: root, below: path.slice(1) };
  }
}

const ANYTHING: Omit<ExportSpec, 'volume'> = {
  path: '/',
  clients: [],
  access: 'ReadWrite',
  squash: 'None',
  anonymousUid: 65534,
  anonymousGid: 65534,
};

/**
 * Any export that there ever was, for what was allowed and recorded then: whether it is exported now, to whom, and where its
 * directory is, says nothing about that.
 */
export class RecordedExports extends ExportTable {
  #recorded: readonly Export[] = [];

  constructor() {
    super([]);
  }

  override of(volume: Volume, id: number): Export {
    const known = this.#recorded.find((one) => one.id === id && one.volume === volume);
    if (known !== undefined) return known;
    const one = new Export({ ...ANYTHING, volume: volume.spec.name }, volume, 'recorded', id);
    this.#recorded = [...this.#recorded, one];
    return one;
  }
}
