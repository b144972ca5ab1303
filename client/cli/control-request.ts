/**
 * A request to a server's control interface: HTTP on a Unix socket, so that only who may open the socket (the machine's
 * administrator) may order a takeover or a giveback.
 */
import { request } from 'node:http';
import { CommandError } from './command.ts';

/** A server answers an order within 30 s, also when it could not finish it; so it has the first word. */
const TIMEOUT_MS = 40_000;
const BODY_SIZE_MAX = 1024 * 1024;

export interface ControlReply {
  readonly status: number;
  /** The body: parsed if it is JSON, else its text. */
  readonly body: unknown;
}

/** GET without, POST with a body. Rejects with CommandError if nobody answers there. */
export function controlRequest(socketPath: string, path: string, order?: object): Promise<ControlReply> {
  const method = order === undefined ? 'GET' : 'POST';
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > BODY_SIZE_MAX) call.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(text) }));
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => reject(new CommandError(explain(socketPath, error))));
    call.end(order === undefined ? undefined : JSON.stringify(order));
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function explain(socketPath: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return `${socketPath} does not exist: name the control.sock in the runDir of a running server`;
    case 'ECONNREFUSED':
      return `${socketPath}: nobody listens; the server that made it has ended`;
    case 'EACCES':
      return `${socketPath}: no permission; control a server as the user it runs as, or as root`;
    default:
      return `${socketPath}: ${error.message}`;
  }
}
