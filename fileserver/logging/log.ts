/**
 * Log lines of server and sentinel on standard output: JSON (one object a line, for collectors) or text (for people).
 * A message names the thing, the cause and the way out; fields repeat what a query would look for.
 */
import winston from 'winston';
import { logOutput } from './log-output.ts';

export type Log = winston.Logger;
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'json' | 'text';
}

export function createLog(options: LogOptions, fields: Record<string, string>): Log {
  const { combine, timestamp, json, printf } = winston.format;
  const text = printf(({ timestamp: at, level, message, ...rest }) => {
    const details = Object.entries(rest)
      .filter(([name]) => !(name in fields))
      .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
    const said = `${String(message)}${details.join('')}`;
    return `${String(at)} ${level.padEnd(5)} ${Object.values(fields).join(' ')}: ${harmless(said)}`;
  });
  return winston.createLogger({
    level: options.level,
    defaultMeta: fields,
    format: combine(timestamp(), options.format === 'json' ? json() : text),
    transports: [new winston.transports.Stream({ stream: logOutput() })],
  });
}

/**
 * For lines as text: messages repeat what clients, certificates and files say of themselves, and control characters would let
 * them steer a terminal or look like lines of ours. JSON escapes them anyway.
 */
function harmless(text: string): string {
  const escaped = text.replace(
    /[^\P{Cc}\n\t]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return escaped.replaceAll('\n', '\n    ');
}

/** Different things that one OncePerMinute says within a minute. */
const KEYS_MAX = 64;

/**
 * Says the same thing once a minute at most, with how often it was left out. A peer that knocks at a port a thousand times a
 * second must not fill the log, nor the memory, whatever it says of itself.
 */
export class OncePerMinute {
  readonly #now: () => number;
  readonly #said = new Map<string, { atMs: number; leftOut: number }>();

  /** `now`: ms on any clock that does not jump. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Calls `say` with the number of times that this key was left out since it was last said; or counts. */
  tell(key: string, say: (leftOut: number) => void): void {
    const now = this.#now();
    const before = this.#said.get(key);
    if (before !== undefined && now - before.atMs < 60_000) {
      before.leftOut++;
      return;
    }
    // Keys come from outside (addresses, names in certificates). In the order in which they were said: old ones come first.
    for (const [old, { atMs }] of this.#said) {
      if (now - atMs < 60_000) break;
      this.#said.delete(old);
    }
    if (this.#said.size >= KEYS_MAX) return;
    this.#said.set(key, { atMs: now, leftOut: 0 });
    say(before?.leftOut ?? 0);
  }
}
