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
    return `${String(at)} ${level.padEnd(5)} ${Object.values(fields).join(' ')}: ${String(message)}${details.join('')}`;
  });
  return winston.createLogger({
    level: options.level,
    defaultMeta: fields,
    format: combine(timestamp(), options.format === 'json' ? json() : text),
    transports: [new winston.transports.Stream({ stream: logOutput() })],
  });
}

/**
 * Says the same thing once a minute at most, with how often it was left out: whoever knocks at a port a thousand
 * times a second must not fill the log.
 */
export class OncePerMinute {
  private readonly now: () => number;
  private readonly lastAt = new Map<string, number>();
  private readonly leftOut = new Map<string, number>();

  /** `now`: ms on any clock that does not jump. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** Calls `say` with the number of times that this key was left out since it was last said; or counts. */
  tell(key: string, say: (leftOut: number) => void): void {
    const now = this.now();
    const last = this.lastAt.get(key);
    if (last !== undefined && now - last < 60_000) {
      this.leftOut.set(key, (this.leftOut.get(key) ?? 0) + 1);
      return;
    }
    // Keys come from outside (addresses): forget them all before they become many.
    if (this.lastAt.size >= 256) this.lastAt.clear();
    this.lastAt.set(key, now);
    const leftOut = this.leftOut.get(key) ?? 0;
    this.leftOut.delete(key);
    say(leftOut);
  }
}
