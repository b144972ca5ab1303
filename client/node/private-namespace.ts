/**
 * A network namespace that mounts have for themselves: its virtual addresses cannot be reached from outside it. Its packets leave through this
 * machine, which puts its own address in front of them (masquerade.ts).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NAME = 'filerpair';
/** File of the namespace: nsenter runs mount(8) in it. */
export const PRIVATE_NAMESPACE_FILE = `/run/netns/${NAME}`;

/** The two ends of its link to this machine: link-local addresses, which no router forwards (RFC 3927). */
const LINK_V4 = { outside: '169.254.78.1', inside: '169.254.78.2', prefix: 30 };
/** With IPv6, unique local addresses of our own (RFC 4193): masquerade needs an address that is routed. */
const LINK_V6 = { outside: 'fd46:5046:5046:78::1', inside: 'fd46:5046:5046:78::2', prefix: 126 };
const IPV6_SETTINGS = '/proc/sys/net/ipv6/conf';
const LINK = 'filerpair';
const LINK_INSIDE = 'outside';

/** Makes what is missing of it. Throws an Error with one sentence. */
export function makePrivateNamespace(): void {
  if (!existsSync(PRIVATE_NAMESPACE_FILE)) ip('netns', 'add', NAME);
  if (!hasLink()) ip('link', 'add', LINK, 'type', 'veth', 'peer', 'name', LINK_INSIDE, 'netns', NAME);
  const { outside, inside, prefix } = LINK_V4;
  ip('address', 'replace', `${outside}/${prefix}`, 'dev', LINK);
  ip('link', 'set', LINK, 'up');
  ip('-n', NAME, 'address', 'replace', `${inside}/${prefix}`, 'dev', LINK_INSIDE);
  for (const link of ['lo', LINK_INSIDE]) ip('-n', NAME, 'link', 'set', link, 'up');
  ip('-n', NAME, 'route', 'replace', 'default', 'via', outside);
  // Packets pass from one link of this machine to another.
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}

/** Lets IPv6 pass between this machine and the namespace, which exists. Throws an Error with one sentence. */
export function linkPrivateNamespaceByV6(): void {
  const { outside, inside, prefix } = LINK_V6;
  // Without a search for duplicates (RFC 4862, section 5.4): the link has no third end.
  ip('-6', 'address', 'replace', `${outside}/${prefix}`, 'dev', LINK, 'nodad');
  ip('-n', NAME, '-6', 'address', 'replace', `${inside}/${prefix}`, 'dev', LINK_INSIDE, 'nodad');
  ip('-n', NAME, '-6', 'route', 'replace', 'default', 'via', outside);
  if (readSetting('all', 'forwarding') === '1') return;
  keepRouterAdvertisements();
  writeFileSync(join(IPV6_SETTINGS, 'all', 'forwarding'), '1');
}

/**
 * A machine that forwards IPv6 ignores router advertisements by default, and forgets the default routes that it has from them. With
 * accept_ra=2 it goes on with them (Linux, Documentation/networking/ip-sysctl.rst). Links that ignore them already are left as they are.
 */
function keepRouterAdvertisements(): void {
  for (const link of readdirSync(IPV6_SETTINGS))
    if (readSetting(link, 'accept_ra') === '1') writeFileSync(join(IPV6_SETTINGS, link, 'accept_ra'), '2');
}

const readSetting = (link: string, name: string): string =>
  readFileSync(join(IPV6_SETTINGS, link, name), 'latin1').trim();

/** Address of the namespace on its link. */
export function addressInside(isV6: boolean): string {
  return (isV6 ? LINK_V6 : LINK_V4).inside;
}

/** Only when nothing is mounted in it. */
export function removePrivateNamespace(): void {
  if (existsSync(PRIVATE_NAMESPACE_FILE)) ip('netns', 'delete', NAME);
  // It also goes with the namespace, when the last socket in it has ended.
  if (hasLink()) ip('link', 'delete', LINK);
}

function hasLink(): boolean {
  return spawnSync('ip', ['link', 'show', 'dev', LINK], { stdio: 'ignore' }).status === 0;
}

function ip(...words: string[]): void {
  const run = spawnSync('ip', words, { encoding: 'utf8' });
  if (run.status === 0) return;
  throw new Error(
    `private network namespace: ip ${words.join(' ')}: ${run.error?.message ?? run.stderr.trim()}`,
  );
}
