/** Two machines with one server between them: network namespaces, each behind a link of its own to the namespace of this process. */
import { spawnSync } from 'node:child_process';
import { CT_KEYS, REGISTERS, readCt, verdict } from '../../client/node/netlink/nft-expressions.ts';
import { NFPROTO_IPV4, Nftables, Transaction } from '../../client/node/netlink/nftables.ts';

export interface Machine {
  /** Of its network namespace. */
  readonly file: string;
  /** Where it finds the server. */
  readonly server: string;
}

/** The network of all of them. */
export const NETWORK = '10.98.0.0/16';

export function makeMachine(name: string, number: number): Machine {
  const [here, there] = [`10.98.${number}.1`, `10.98.${number}.2`];
  const link = `to-${name}`;
  const inside = ['-n', name];
  ip('netns', 'add', name);
  ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('address', 'add', `${here}/30`, 'dev', link);
  ip('link', 'set', link, 'up');
  ip(...inside, 'address', 'add', `${there}/30`, 'dev', 'eth0');
  for (const each of ['lo', 'eth0']) ip(...inside, 'link', 'set', each, 'up');
  ip(...inside, 'route', 'add', 'default', 'via', here);
  return { file: `/run/netns/${name}`, server: here };
}

/** A rule that asks for the state of each packet's connection and does nothing, as the rules of a firewall do. */
export function trackConnections({ file }: Machine): void {
  const nftables = new Nftables(file);
  const chain = { name: 'output', type: 'filter', hook: 'output', priority: 0 } as const;
  nftables.commit(
    new Transaction(NFPROTO_IPV4, 'tracked')
      .addTable()
      .addChain(chain)
      .addRule(chain.name, [readCt(CT_KEYS.state, REGISTERS.r0), verdict('accept')]),
  );
  nftables.close();
}

/** Throws if none is: the comparison would be of something else. */
export function expectTracked({ file }: Machine): void {
  const count = '/proc/sys/net/netfilter/nf_conntrack_count';
  const run = spawnSync('nsenter', [`--net=${file}`, 'cat', count], { encoding: 'utf8' });
  if (!(Number(run.stdout) > 0))
    throw new Error(`${file}: connections are not tracked (${run.stdout.trim()})`);
}

function ip(...words: string[]): void {
  const run = spawnSync('ip', words, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`ip ${words.join(' ')}: ${run.stderr.trim()}`);
}
