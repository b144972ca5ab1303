/** Runs commands in a Linux guest that has booted with scripts/agent.sh, and returns what they print. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { HOST_IN_GUEST } from './guest.ts';

/** A command of the guest failed; the message has what it printed. */
export class GuestCommandFailed extends Error {
  override name = 'GuestCommandFailed';
}

export interface GuestAnswer {
  readonly code: number;
  readonly output: string;
}

export class GuestShell {
  readonly #server: Server;
  readonly #pending = new Map<number, (answer: GuestAnswer) => void>();
  #socket: Socket | null = null;
  #number = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens for the guest, which is to be booted with `script`. */
  static async listen(): Promise<GuestShell> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new GuestShell(server);
  }

  /** The guest's script: it connects and takes commands until the connection ends. */
  get script(): string {
    const { port } = this.#server.address() as AddressInfo;
    const agent = readFileSync(join(import.meta.dirname, 'scripts/agent.sh'), 'utf8');
    return `HOST=${HOST_IN_GUEST} AGENT_PORT=${port}\n${agent}`;
  }

  /** Resolves when the guest has connected. */
  async connected(): Promise<void> {
    const [socket] = (await once(this.#server, 'connection')) as [Socket];
    this.#socket = socket;
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', (line) => {
      const [number, code, output] = line.split(' ');
      const text = Buffer.from(output ?? '', 'base64').toString();
      this.#pending.get(Number(number))?.({ code: Number(code), output: text });
      this.#pending.delete(Number(number));
    });
  }

  /** Runs a bash script to its end, whatever the end is. Commands run one after the other. */
  outcome(script: string): Promise<GuestAnswer> {
    const number = ++this.#number;
    return new Promise((resolve) => {
      this.#pending.set(number, resolve);
      this.#socket!.write(`${number} ${Buffer.from(script).toString('base64')}\n`);
    });
  }

  /** Returns what it prints. Rejects with that if it fails. */
  async run(script: string): Promise<string> {
    const { code, output } = await this.outcome(script);
    if (code !== 0) throw new GuestCommandFailed(`${script}\nended with ${code}:\n${output}`);
    return output;
  }

  /** The guest's script ends, and with it the guest. */
  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }
}
