/**
 * This machine's address in front of what comes from the private namespace: one table of nf_tables in the first namespace for each
 * version of IP that is used. Source ports are kept where they are free, and one below 1024 stays below.
 */
import { addressBytes } from './netlink/address.ts';
import { Conntrack, type Entry } from './netlink/conntrack.ts';
import { compare, masquerade, payload, REGISTERS } from './netlink/nft-expressions.ts';
import { type Chain, Nftables, Transaction } from './netlink/nftables.ts';
import { addressInside, linkPrivateNamespaceByV6 } from './private-namespace.ts';
import { familyNumber } from './ruleset.ts';

const TABLE = 'filerpair_private';
const CHAIN: Chain = { name: 'masquerade', type: 'nat', hook: 'postrouting', priority: 100 };
/** Offset of the source address in the header. Bytes. */
const SOURCE_AT = { v4: 12, v6: 8 };

export function masqueradeTransaction(isV6: boolean): Transaction {
  const { r0 } = REGISTERS;
  const source = addressBytes(addressInside(isV6));
  const sourceAt = isV6 ? SOURCE_AT.v6 : SOURCE_AT.v4;
  return new Transaction(familyNumber(isV6), TABLE)
    .addTable()
    .addChain(CHAIN)
    .flushChain(CHAIN.name)
    .addRule(CHAIN.name, [payload('network', sourceAt, source.length, r0), compare(r0, source), masquerade]);
}

export class Masquerade {
  // The sockets are in this process's own namespace.
  readonly #nftables = new Nftables();
  readonly #conntrack = new Conntrack();
  /** Versions of IP that are translated: true is IPv6. */
  readonly #versions = new Set<boolean>();

  /** Begins to translate a version of IP. Throws NetlinkError where the kernel cannot, or an Error with one sentence. */
  begin(isV6: boolean): void {
    if (isV6) linkPrivateNamespaceByV6();
    this.#install(isV6);
    this.#versions.add(isV6);
  }

  /** True: the table of a version was not there, and is now. Throws NetlinkError. */
  renew(): boolean {
    const missing = [...this.#versions].filter(
      (isV6) => this.#nftables.ruleCount(familyNumber(isV6), TABLE) !== 1,
    );
    for (const isV6 of missing) this.#install(isV6);
    return missing.length > 0;
  }

  #install(isV6: boolean): void {
    this.#nftables.commit(masqueradeTransaction(isV6));
  }

  /**
   * Answers find their way back into the namespace. False: the table of tracked connections was emptied, or the connection
   * began while there was no rule. `entry`: of the connection in the namespace. Throws NetlinkError.
   */
  translates({ reply }: Entry): boolean {
    const flow = {
      source: reply.destination,
      sourcePort: reply.destinationPort,
      destination: reply.source,
      destinationPort: reply.sourcePort,
    };
    const outside = this.#conntrack.entry(flow);
    if (outside === null) return false;
    if (outside.reply.destination !== flow.source) return true;
    // It would keep the repetitions of the connection's first segment from being translated.
    this.#conntrack.delete(flow);
    return false;
  }

  /** The rules go: nothing is mounted in the namespace any more. */
  remove(): void {
    for (const isV6 of [false, true]) {
      if (this.#nftables.ruleCount(familyNumber(isV6), TABLE) === 0) continue;
      this.#nftables.commit(new Transaction(familyNumber(isV6), TABLE).addTable().deleteTable());
    }
  }

  close(): void {
    this.#nftables.close();
    this.#conntrack.close();
  }
}
