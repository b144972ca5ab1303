/** Result of a copy, in one line: `2,000 files, 7.8 MiB in 1.2 s, continued through 1 failover (82 ms)`. */
import type { ConnectionEvent } from '../../connection-event.ts';
import { sizeText } from '../listing.ts';

export interface Counts {
  readonly files: number;
  readonly bytes: number;
  /** Left out: they are there already. */
  readonly same: number;
  readonly links: number;
}

/** The connection events of all clients of one copy. */
export class Interruptions {
  /** The port at which each client is served. */
  readonly #ports = new Map<object, string>();
  readonly #failovers: number[] = [];
  readonly #others: number[] = [];

  hear(client: object, event: ConnectionEvent): void {
    if (event.kind !== 'Adopted') return;
    const before = this.#ports.get(client);
    this.#ports.set(client, event.port);
    // The first connection interrupts nothing.
    if (before === undefined) return;
    (before === event.port ? this.#others : this.#failovers).push(event.afterMs);
  }

  /** `, continued through 1 failover (82 ms)`, or nothing. */
  get text(): string {
    const parts = [
      counted(this.#failovers, 'failover', 'failovers'),
      counted(this.#others, 'interruption', 'interruptions'),
    ].filter((part) => part !== '');
    return parts.length === 0 ? '' : `, continued through ${parts.join(' and ')}`;
  }
}

function counted(gaps: readonly number[], one: string, many: string): string {
  if (gaps.length === 0) return '';
  const times = gaps.map((ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`));
  return `${gaps.length} ${gaps.length === 1 ? one : many} (${times.join(', ')})`;
}

export function summary(
  { files, bytes, same, links }: Counts,
  tookMs: number,
  interruptions: Interruptions,
): string {
  const number = (value: number) => value.toLocaleString('en-US');
  const parts = [
    files === 1 && same + links === 0 ? '' : `${number(files)} files`,
    links === 0 ? '' : `${number(links)} symbolic links`,
    sizeText(bytes),
  ].filter((part) => part !== '');
  const there = same === 0 ? '' : `, ${number(same)} were there already`;
  const seconds = tookMs / 1000;
  return `${parts.join(', ')} in ${seconds.toFixed(seconds < 10 ? 2 : 1)} s${there}${interruptions.text}`;
}
