// A request to a server's control interface: HTTP on a Unix socket, so that only who may open the socket (the
// machine's administrator) may order a takeover or a giveback.
import { request } from 'node:http';
import { CommandError } from './command.ts';

/** A transition is over in seconds; a server that stays silent longer is not going to answer. */
const TIMEOUT_MS = 30_000;
const BODY_SIZE_MAX = 1024 * 1024;

export interface ControlReply {
  readonly status: number;
  /** The JSON body; undefined if the server sent none. */
  readonly body: unknown;
}

export function controlRequest(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > BODY_SIZE_MAX) call.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        try {
          const body: unknown = text === '' ? undefined : JSON.parse(text);
          resolve({ status: response.statusCode ?? 0, body });
        } catch {
          reject(new CommandError(`${socketPath}: the server's answer is not JSON: ${text.slice(0, 200)}`));
        }
      });
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    call.on('error', (error: NodeJS.ErrnoException) => reject(new CommandError(explain(socketPath, error))));
    call.end();
  });
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
