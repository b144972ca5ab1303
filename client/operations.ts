/**
 * The operations of a client that are under way: close() waits for them and lets no other one begin. A tracer of the program sees
 * them on the channel `filerpair:operation` of node:diagnostics_channel.
 */
import { tracingChannel } from 'node:diagnostics_channel';
import { ClientClosed, type ErrorContext } from './errors.ts';
import { Operation, type OperationOptions } from './operation.ts';

const channel = tracingChannel('filerpair:operation');

export class Operations {
  /** The client that works, for tracing. */
  readonly #client: unknown;
  #count = 0;
  #closed = false;
  #waiters: (() => void)[] = [];

  constructor(client: unknown) {
    this.#client = client;
  }

  /** Rejects with ClientClosed after close(). */
  async run<T>(
    context: ErrorContext,
    options: OperationOptions | undefined,
    work: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    this.admit(context);
    const operation = new Operation(context, options);
    operation.throwIfOver();
    this.#count += 1;
    try {
      if (!channel.hasSubscribers) return await work(operation);
      return await channel.tracePromise(() => work(operation), { client: this.#client, operation });
    } finally {
      this.#count -= 1;
      if (this.#count === 0) for (const wake of this.#waiters.splice(0)) wake();
    }
  }

  /** Pieces that a generator yields; to get each of them is an operation. */
  async *each<T>(context: ErrorContext, pieces: AsyncGenerator<T>): AsyncGenerator<T> {
    try {
      for (;;) {
        const next = await this.run(context, undefined, () => pieces.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await pieces.return(undefined);
    }
  }

  /** Throws after close(). */
  admit(context: ErrorContext = {}): void {
    if (this.#closed) throw new ClientClosed(context);
  }

  close(): void {
    this.#closed = true;
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }
}
