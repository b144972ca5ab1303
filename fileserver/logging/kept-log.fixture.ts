/** A log whose lines a test keeps, to look at what was said. */
import { Writable } from 'node:stream';
import winston from 'winston';

/** `lines`: messages alone, without level and fields. */
export function keptLog(): { readonly log: winston.Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const stream = new Writable({
    write: (line, _encoding, done) => {
      lines.push(String(line));
      done();
    },
  });
  const format = winston.format.printf((entry) => String(entry.message));
  return {
    log: winston.createLogger({ format, transports: [new winston.transports.Stream({ stream })] }),
    lines,
  };
}
