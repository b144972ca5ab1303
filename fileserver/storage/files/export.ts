/** A directory of a volume that clients may mount, and on what terms. Immutable: a change makes new ones. */

import { type ClientNetworks, clientNetworksOf } from '../../exports/client-networks.ts';
import { parseExportDirectory } from '../../exports/export-directory.ts';
import type { ExportSpec } from '../../settings/export-spec.ts';
import type { Identity } from '../../system/thread-identity.ts';
import { exportIdOf } from '../handles/file-handle.ts';
import type { Volume } from '../volume/volume.ts';
import { placeOf } from './export-root.ts';

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
  /** The same for all exports of one directory. */
  readonly place: string;
  /**
   * Identity key of the exported directory; `..` stops there. Empty: it is not there, and the export is not served. null: this thread
   * does not know yet, and has bound no file to the export.
   */
  rootKey: string | null;
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
    this.place = placeOf(spec);
    this.rootKey = null;
    this.#successor = null;
  }

  /** May calls come from there? */
  isFor(host: string, port: number): boolean {
    return this.#clients.includes(host) && (!this.#reservedPorts || (port > 0 && port < RESERVED_PORTS));
  }

  /** The export to which the files of this one are bound once it is exported no longer. */
  withdraw(): Export {
    const spec: ExportSpec = { ...this.spec, access: 'ReadOnly', squash: 'All', clients: [] };
    this.#successor ??= new Export(spec, this.volume, 'withdrawn', this.id);
    return this.#successor;
  }
}
