/** A client's connection to one export: mounted once, drained and ended once. */
import { FilerPairError } from './errors.ts';
import type { FileAccess } from './file-access.ts';
import { ioSizes, type Mounted, mount } from './mount.ts';
import { Nfs3Client } from './nfs3-client.ts';
import { OpenFiles } from './open-files.ts';
import { Operation, type OperationOptions } from './operation.ts';
import type { Operations } from './operations.ts';
import { PathWalk } from './path-walk.ts';
import { RpcClient, type RpcClientOptions } from './rpc-client.ts';
import type { PortRole } from './transport-address.ts';
import type { NfsUrl } from './url.ts';

/** A name that has no address after this time is not going to have one soon, in ms. */
const NAME_UNKNOWN_MS = 3000;

/** An export that is mounted. */
export interface MountedExport {
  readonly mounted: Mounted;
  /** Every procedure, for those outside. */
  readonly nfs: Nfs3Client;
  readonly walk: PathWalk;
  readonly access: FileAccess;
}

export class ExportSession {
  readonly #target: NfsUrl;
  readonly #rpcOptions: RpcClientOptions;
  readonly #operations: Operations;
  #rpc: RpcClient | null = null;
  #connecting: Promise<void> | null = null;
  #connected: MountedExport | null = null;
  #isRef = true;

  constructor(target: NfsUrl, rpcOptions: RpcClientOptions, operations: Operations) {
    this.#target = target;
    this.#rpcOptions = rpcOptions;
    this.#operations = operations;
  }

  /** Mounts; again if it has failed. */
  connect(options: OperationOptions): Promise<void> {
    this.#connecting ??= this.#mount(options).catch((error: unknown) => {
      this.#connecting = null;
      throw error;
    });
    return this.#connecting;
  }

  /** Throws ENOTCONN before connect() has resolved. */
  get there(): MountedExport {
    if (this.#connected !== null) return this.#connected;
    throw new FilerPairError('ENOTCONN', 'connect() has not mounted the export yet');
  }

  /** The port in use now; null while searching. */
  get port(): PortRole | null {
    return this.#rpc?.port ?? null;
  }

  /** Waits for the operations under way, and makes durable what was written. */
  async drain(options: OperationOptions | undefined): Promise<void> {
    const work = async () => {
      await this.#operations.idle();
      await this.#connected?.access.files.settleAll();
      await this.#rpc?.idle();
    };
    const operation = new Operation({ syscall: 'close', path: this.#target.path }, options);
    operation.throwIfOver();
    // A client that has not connected yet waits for nothing but a server.
    if (this.#connected !== null) await operation.within(work());
  }

  /** Calls under way reject with the error. Returns false if there was no connection. */
  disconnect(error: Error | undefined): boolean {
    if (this.#rpc === null) return false;
    this.#rpc.close(error);
    this.#rpc = null;
    return true;
  }

  /** False: it keeps the process alive only while a call waits for its reply. */
  setRef(ref: boolean): void {
    this.#isRef = ref;
    this.#rpc?.setRef(ref);
  }

  async #mount(options: OperationOptions): Promise<void> {
    const { path } = this.#target;
    await this.#operations.run({ syscall: 'mount', path }, options, async (operation) => {
      const rpc = new RpcClient(this.#rpcOptions);
      this.#rpc = rpc;
      if (!this.#isRef) rpc.setRef(false);
      const unknown = this.#watchName(rpc);
      try {
        const mounted = await mount(this.#target, rpc, this.#rpcOptions, operation);
        this.#rpcOptions.identity!.mounted(mounted.root, this.#rpcOptions.credential);
        const nfs = new Nfs3Client(rpc);
        const sizes = await ioSizes(nfs, mounted.root, operation);
        const files = new OpenFiles(nfs, sizes.writeSize);
        this.#connected = {
          mounted,
          nfs: new Nfs3Client(rpc, () => this.#operations.admit()),
          walk: new PathWalk(nfs, mounted.root, mounted.exportPath),
          access: { nfs, files, operations: this.#operations, sizes },
        };
      } catch (error) {
        rpc.close();
        if (this.#rpc === rpc) this.#rpc = null;
        throw error;
      } finally {
        clearInterval(unknown);
      }
    });
  }

  /** Ends the calls of connect() when there is nobody who could ever answer them. */
  #watchName(rpc: RpcClient): NodeJS.Timeout {
    const sinceMs = performance.now();
    return setInterval(() => {
      if (!rpc.isNameUnknown || performance.now() - sinceMs < NAME_UNKNOWN_MS) return;
      const context = { syscall: 'getaddrinfo', path: this.#target.path };
      rpc.close(new FilerPairError('ENOTFOUND', rpc.describeFailure(), context));
    }, 250);
  }
}
