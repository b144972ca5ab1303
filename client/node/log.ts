/** The log of the director and its supervisor: lines on standard error, with the time. */
import type { ConnectionEvent } from '../connection-event.ts';
import type { AddressAndPort } from './ruleset.ts';
import type { AddressEvent } from './virtual-address.ts';

let lines = '';

/** The line is written when what happens now is over: a failover does not wait for its log. */
export function logLine(line: string): void {
  if (lines === '') setImmediate(flush);
  lines += `${new Date().toISOString()} ${line}\n`;
}

function flush(): void {
  const text = lines;
  lines = '';
  if (text !== '') process.stderr.write(text);
}
process.on('exit', flush);

/** Null: not worth a line. */
export function addressLine(virtual: string, event: AddressEvent, verbose: boolean): string | null {
  const text = describe(event, verbose);
  return text === null ? null : `${virtual}: ${text}`;
}

function describe(event: AddressEvent, verbose: boolean): string | null {
  switch (event.kind) {
    case 'Search':
      return describeSearch(event.event, verbose);
    case 'Routed': {
      const where = event.hold ? 'wait' : `go to ${format(event.target)}`;
      return `new connections ${where} (rules written in ${event.tookMs.toFixed(1)} ms)`;
    }
    case 'Sockets':
      return `${event.broken} sockets moved, ${event.redirected} connection requests redirected`;
    case 'Released':
      return `${event.connections} waiting connections released`;
    case 'Healed':
      return `${event.sockets} sockets reset: the rules or the kernel's table of connections were emptied`;
  }
}

function describeSearch(event: ConnectionEvent, verbose: boolean): string | null {
  switch (event.kind) {
    case 'Adopted':
      return `${event.target} (${event.port} port) answers, after ${event.afterMs.toFixed(0)} ms`;
    case 'Lost':
      return `${event.target} is lost: ${event.reason}`;
    case 'Waiting':
      return `nobody serves: ${event.why}`;
    case 'Doubted':
      return verbose ? `${event.target} is silent` : null;
    case 'Reassured':
      return verbose ? `it answers again, after ${event.afterMs.toFixed(0)} ms` : null;
  }
}

function format(target: AddressAndPort | null): string {
  if (target === null) return 'nobody';
  return target.address.includes(':')
    ? `[${target.address}]:${target.port}`
    : `${target.address}:${target.port}`;
}
