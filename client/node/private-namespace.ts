/**
 * A network namespace that mounts have for themselves: its virtual addresses cannot be reached from outside it. Its packets leave through this
 * machine, which puts its own address in front of them (masquerade.ts).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';

const NAME = 'filerpair';
/** Of the namespace: mount(8) is run in it by nsenter. */
export const PRIVATE_NAMESPACE_FILE = `/run/netns/${NAME}`;

/** The two ends of its link to this machine. They are link-local: no router forwards them (RFC 3927). */
const OUTSIDE = '169.254.78.1';
export const INSIDE = '169.254.78.2';
const PREFIX = 30;
const LINK = 'filerpair';
const LINK_INSIDE = 'outside';

/** Makes what is missing of it. Throws an Error with one sentence. */
export function makePrivateNamespace(): void {
  if (!existsSync(PRIVATE_NAMESPACE_FILE)) ip('netns', 'add', NAME);
  if (!hasLink()) ip('link', 'add', LINK, 'type', 'veth', 'peer', 'name', LINK_INSIDE, 'netns', NAME);
  ip('address', 'replace', `${OUTSIDE}/${PREFIX}`, 'dev', LINK);
  ip('link', 'set', LINK, 'up');
  ip('-n', NAME, 'address', 'replace', `${INSIDE}/${PREFIX}`, 'dev', LINK_INSIDE);
  for (const link of ['lo', LINK_INSIDE]) ip('-n', NAME, 'link', 'set', link, 'up');
  ip('-n', NAME, 'route', 'replace', 'default', 'via', OUTSIDE);
  // Packets pass from one link of this machine to another.
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
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
