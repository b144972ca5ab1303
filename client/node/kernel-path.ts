/** The kernel's path in one network namespace: its table, its holder, and the virtual addresses that both serve. */
import { isIPv6 } from 'node:net';
import { Holder } from './holder.ts';
import type { Masquerade } from './masquerade.ts';
import { addressText, canonicalAddress } from './netlink/address.ts';
import { Conntrack, type Entry } from './netlink/conntrack.ts';
import { Nftables, type Transaction } from './netlink/nftables.ts';
import { RulesetChanges } from './netlink/ruleset-changes.ts';
import { NetlinkError } from './netlink/socket.ts';
import { SocketTable } from './netlink/socket-table.ts';
import {
  type AddressAndPort,
  ALL_CURES,
  aliveTransaction,
  type Cures,
  familyNumber,
  installTransaction,
  type Route,
  routesTransaction,
  routeTransaction,
  ruleCount,
  TABLE,
  VIRTUAL_PORT,
} from './ruleset.ts';
import { type NamespaceTables, VirtualAddress, type VirtualAddressOptions } from './virtual-address.ts';

/** How often the sign of this process's life is renewed, and the rules are looked at even if no change was told. Ms. */
const RENEW_MS = 1000;

export interface HolderSocket {
  readonly descriptor: number;
  readonly address: AddressAndPort;
}

export interface KernelPathOptions {
  /** File of the network namespace; null: this process's own. */
  readonly namespace: string | null;
  /** Masquerade that leads from there to the servers; null: the namespace is this machine's own. */
  readonly masquerade?: Masquerade | null;
  /** One listening socket for each version of IP that is used. */
  readonly holders: readonly HolderSocket[];
  readonly cures?: Cures | undefined;
  /** The table, or part of it, was gone, and is there again. */
  readonly onRestored: () => void;
  readonly onError: (error: Error) => void;
}

export class KernelPath implements NamespaceTables {
  readonly socketTable: SocketTable;
  readonly conntrack: Conntrack;
  readonly holder: Holder;
  readonly #nftables: Nftables;
  readonly #options: KernelPathOptions;
  readonly #cures: Cures;
  readonly #addresses = new Map<string, VirtualAddress>();
  readonly #timer: NodeJS.Timeout;
  readonly #changes: RulesetChanges;
  /** Versions of IP whose table is installed. */
  readonly #families = new Set<boolean>();
  /**
   * The generation of this namespace's rules that is expected: each transaction of this process adds one. It is counted and not read
   * again after a transaction, so that the change of another program is detected.
   */
  #generation = -1;
  /** The table's route of each address; null: not known. */
  #written: Map<string, Route> | null = null;
  /** Connections had no rules for a while, and are not yet healed. */
  #wasFlushed = false;

  /** Throws NetlinkError where the kernel refuses a rule that an earlier process has installed. */
  constructor(options: KernelPathOptions) {
    this.#options = options;
    this.#cures = options.cures ?? ALL_CURES;
    this.#nftables = new Nftables(options.namespace);
    this.socketTable = new SocketTable(options.namespace);
    this.conntrack = new Conntrack(options.namespace);
    this.holder = new Holder(
      options.holders.map(({ descriptor }) => descriptor),
      (virtual) => this.#addresses.get(virtual)?.held(),
    );
    // A table that an earlier process has left is brought up to date. Else a version of IP has its table with its first address: a kernel
    // need not have the parts of both.
    for (const { address } of options.holders) {
      const isV6 = isIPv6(address.address);
      if (this.#nftables.elements(familyNumber(isV6), TABLE, 'addresses') !== null) this.#install(isV6);
    }
    this.#timer = setInterval(() => this.#renew(), RENEW_MS);
    const watched = [{ namespace: options.namespace, changed: () => this.#renewIfChanged() }];
    if (options.masquerade) watched.push({ namespace: null, changed: () => this.#renewMasquerade() });
    this.#changes = new RulesetChanges(watched);
  }

  /**
   * Begins to serve addresses. What an earlier process has written for them stays until a server is found. Those of a version of IP
   * that the kernel cannot translate are left out (onError).
   */
  add(all: readonly VirtualAddressOptions[]): void {
    const targets = new Map([false, true].map((isV6) => [isV6, this.#targets(isV6)]));
    const added: VirtualAddress[] = [];
    for (const options of all) {
      const isV6 = isIPv6(options.virtual);
      if (!this.#hasTable(isV6)) continue;
      const virtual = canonicalAddress(options.virtual);
      const resumed = targets.get(isV6)!.get(virtual) ?? null;
      const address = new VirtualAddress(this, { ...options, virtual }, resumed);
      this.#addresses.set(virtual, address);
      added.push(address);
    }
    if (this.#written === null) this.#writeAll();
    else for (const { route } of added) this.writeRoute(route);
  }

  get addresses(): ReadonlyMap<string, VirtualAddress> {
    return this.#addresses;
  }

  /** The rules do not know the address any more: its connections are refused. */
  remove(virtual: string): void {
    const address = this.#addresses.get(canonicalAddress(virtual));
    if (address === undefined) return;
    this.#addresses.delete(address.virtual);
    address.close();
    this.holder.release(address.virtual);
    this.#write(() => this.#commitRoute(address.virtual, null));
  }

  /** Writes where the connections to one address go: the others have no part in it, however many they are. */
  writeRoute(route: Route): void {
    // One that is being added is written when it is there.
    if (this.#addresses.has(route.virtual)) this.#write(() => this.#commitRoute(route.virtual, route));
  }

  isForwarded(entry: Entry): boolean {
    return this.#options.masquerade?.translates(entry) ?? true;
  }

  /** Ends the process's part. The rules stay, and connections go on. */
  close(): void {
    clearInterval(this.#timer);
    this.#changes.close();
    for (const address of this.#addresses.values()) address.close();
    this.holder.close();
    this.#nftables.close();
    this.socketTable.close();
    this.conntrack.close();
    this.#options.masquerade?.close();
  }

  /** Installs the table of a version of IP when it is needed first. False: there is none, and it was said why. */
  #hasTable(isV6: boolean): boolean {
    if (this.#families.has(isV6)) return true;
    try {
      return this.#install(isV6);
    } catch (error) {
      this.#options.onError(error as Error);
      return false;
    }
  }

  /** False: there is no holder for this version of IP. Throws NetlinkError, or an Error if nothing leads to the servers. */
  #install(isV6: boolean): boolean {
    const holder = this.#options.holders.find(({ address }) => isIPv6(address.address) === isV6);
    if (holder === undefined) return false;
    if (!this.#families.has(isV6)) this.#options.masquerade?.begin(isV6);
    this.#commit(installTransaction(isV6, holder.address, this.#cures));
    this.#families.add(isV6);
    return true;
  }

  /** If the table is not what it was, all of it is written. */
  #write(change: () => void): void {
    try {
      change();
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      this.#writeAll();
    }
  }

  /** If another program has removed the rules, it installs them again. */
  #writeAll(): void {
    try {
      this.#commitRoutes();
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      this.#reinstall();
    }
  }

  #commitRoute(virtual: string, route: Route | null): void {
    if (this.#written === null) {
      this.#commitRoutes();
      return;
    }
    const before = this.#written.get(virtual) ?? null;
    if (before === null && route === null) return;
    this.#commit(routeTransaction(before, route));
    if (route === null) this.#written.delete(virtual);
    else this.#written.set(virtual, route);
  }

  #commitRoutes(): void {
    this.#written = null;
    const routes = [...this.#addresses.values()].map(({ route }) => route);
    for (const isV6 of this.#families) this.#commit(routesTransaction(isV6, routes));
    this.#written = new Map(routes.map((route) => [route.virtual, route]));
  }

  #commit(transaction: Transaction): void {
    this.#nftables.commit(transaction);
    this.#generation += 1;
  }

  /** The servers to which the table sends each address. */
  #targets(isV6: boolean): Map<string, AddressAndPort> {
    const size = isV6 ? 16 : 4;
    const elements = this.#nftables.elements(familyNumber(isV6), TABLE, 'targets') ?? [];
    return new Map(
      elements.flatMap(({ key, value }) => {
        if (value === null) return [];
        const target = { address: addressText(value.subarray(0, size)), port: value.readUInt16BE(size) };
        return [[addressText(key.subarray(0, size)), target] as const];
      }),
    );
  }

  /** Another program's change is looked at without delay: a client that connects without rules is refused, and then waits for 3 s. */
  #renewIfChanged(): void {
    try {
      if (this.#nftables.generation() !== this.#generation) this.#renew();
    } catch (error) {
      this.#options.onError(error as Error);
    }
  }

  #renewMasquerade(): void {
    try {
      if (this.#options.masquerade?.renew() === true) this.#options.onRestored();
    } catch (error) {
      this.#options.onError(error as Error);
    }
  }

  #renew(): void {
    try {
      this.#renewMasquerade();
      const generation = this.#nftables.generation();
      if (generation !== this.#generation) {
        this.#generation = generation;
        if (!this.#isWhole()) this.#reinstall();
      }
      const wasFlushed = this.#wasFlushed;
      this.#wasFlushed = false;
      const addresses = [...this.#addresses.values()];
      const routes = addresses.map(({ route }) => route);
      for (const isV6 of this.#families) {
        this.#commit(aliveTransaction(isV6, routes));
        const sockets = Map.groupBy(
          this.socketTable.list(isV6, VIRTUAL_PORT),
          ({ destination }) => destination,
        );
        for (const [virtual, own] of sockets) this.#addresses.get(virtual)?.heal(own, wasFlushed);
      }
    } catch (error) {
      // The next time. A rule that cannot be renewed leaves what is there.
      this.#generation = -1;
      this.#options.onError(error as Error);
    }
  }

  /** Somebody has changed the machine's rules: ours may be gone with them (`nft flush ruleset`). */
  #isWhole(): boolean {
    return [...this.#families].every(
      (isV6) =>
        this.#nftables.ruleCount(familyNumber(isV6), TABLE) === ruleCount(isV6, this.#cures) &&
        this.#nftables.elements(familyNumber(isV6), TABLE, 'addresses')?.length ===
          [...this.#addresses.keys()].filter((address) => isIPv6(address) === isV6).length,
    );
  }

  #reinstall(): void {
    try {
      this.#wasFlushed = true;
      for (const isV6 of this.#families) this.#install(isV6);
      this.#commitRoutes();
      this.#options.onRestored();
    } catch (error) {
      // The next renewal looks again.
      this.#generation = -1;
      this.#options.onError(error as Error);
    }
  }
}
