/**
 * This machine's address in front of what comes from the private namespace: one table of nf_tables in the first namespace. Source ports
 * are kept where they are free, and one below 1024 stays below.
 */
import { isIPv6 } from 'node:net';
import { addressBytes } from './netlink/address.ts';
import { Conntrack, type Entry } from './netlink/conntrack.ts';
import { compare, masquerade, payload, REGISTERS } from './netlink/nft-expressions.ts';
import { type Chain, NFPROTO_IPV4, Nftables, Transaction } from './netlink/nftables.ts';
import { INSIDE } from './private-namespace.ts';

const TABLE = 'filerpair_private';
const CHAIN: Chain = { name: 'masquerade', type: 'nat', hook: 'postrouting', priority: 100 };
/** Of an IPv4 header: where the source address is. */
const SOURCE_AT = 12;

export function masqueradeTransaction(): Transaction {
  const { r0 } = REGISTERS;
  const source = addressBytes(INSIDE);
  return new Transaction(NFPROTO_IPV4, TABLE)
    .addTable()
    .addChain(CHAIN)
    .flushChain(CHAIN.name)
    .addRule(CHAIN.name, [payload('network', SOURCE_AT, source.length, r0), compare(r0, source), masquerade]);
}

export class Masquerade {
  // Of this process's own namespace.
  readonly #nftables = new Nftables();
  readonly #conntrack = new Conntrack();

  /** True: it was not there, and is now. Throws NetlinkError. */
  renew(): boolean {
    if (this.#nftables.ruleCount(NFPROTO_IPV4, TABLE) === 1) return false;
    this.#nftables.commit(masqueradeTransaction());
    return true;
  }

  /**
   * Answers find their way back into the namespace. False: the table of tracked connections was emptied, or the connection
   * began while there was no rule. `entry`: of the connection in the namespace. Throws NetlinkError.
   */
  translates({ reply }: Entry): boolean {
    if (isIPv6(reply.source)) return true;
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

  /** The rule goes: nothing is mounted in the namespace any more. */
  remove(): void {
    this.#nftables.commit(new Transaction(NFPROTO_IPV4, TABLE).addTable().deleteTable());
  }

  close(): void {
    this.#nftables.close();
    this.#conntrack.close();
  }
}
