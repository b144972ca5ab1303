/** A connection of another thread, as its calls are executed in a volume's thread. */
import { XdrReader } from '../../protocol/xdr.ts';
import type { Place } from '../callers/connection-order.ts';
import type { ClientKey } from '../callers/origin.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import { ConnectionCaller } from '../rpc/caller.ts';
import { Dispatcher, type LateReplies, type Services } from '../rpc/dispatcher.ts';
import type { ForwardingConnection } from '../rpc/forwarding-connection.ts';
import type { ReplyListener } from '../storage/duplicate-requests/reply-listener.ts';
import type { ThreadReplies } from './thread-replies.ts';

/** Executes a call that had to wait, now or, while nothing may change, later. */
export type ExecuteLater = (work: () => void) => void;
/** Executes one call. false: no right to serve any more. */
type HandleCall = (connection: ForwardedConnection, number: number, message: XdrReader) => boolean;

export class ForwardedConnection implements LateReplies {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly place: Place;
  readonly clientKey: ClientKey;
  readonly caller: ConnectionCaller;
  readonly dispatcher: Dispatcher;
  /** Number of the call that is being handled. */
  number: number;
  /** Its thread has said that it has ended. */
  hasEnded: boolean;
  readonly replies: ThreadReplies;
  readonly #groups: GroupDirectory | null;
  readonly #handle: HandleCall;
  readonly #execute: ExecuteLater;

  constructor(
    { id, host, port, place, clientKey }: ForwardingConnection,
    services: Services,
    replies: ThreadReplies,
    r: XdrReader,
    handle: HandleCall,
    execute: ExecuteLater,
  ) {
    this.id = id;
    this.host = host;
    this.port = port;
    this.place = place;
    this.clientKey = clientKey;
    this.caller = new ConnectionCaller(host, port, place, services.groups, clientKey);
    this.#groups = services.groups;
    this.#handle = handle;
    this.#execute = execute;
    this.dispatcher = new Dispatcher(services, this.caller, r, replies.writer, this);
    this.number = 0;
    this.hasEnded = false;
    this.replies = replies;
  }

  answerLater(xid: number): ReplyListener {
    const { number, replies } = this;
    replies.waits();
    let answered = false;
    return (results, status, byteCount) => {
      if (answered) return;
      answered = true;
      replies.answer({ number, xid, results, status, byteCount });
    };
  }

  waitForGroups(uid: number, message: Uint8Array): void {
    const { number } = this;
    const handle = (): void => {
      this.#handle(this, number, new XdrReader(message));
      this.replies.schedule();
    };
    this.#groups?.wait(uid, () => this.#execute(handle));
  }

  announced(): void {
    throw new Error('a client says where it is to the thread of its connection');
  }

  answerForwarded(): ReplyListener {
    throw new Error('a call that was forwarded is executed where it arrives');
  }
}
