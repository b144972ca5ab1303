/** Counts the calls of one connection for the metrics, when their replies are handed to the socket. */
import { type CallMeter, FAILED_INTERNALLY } from '../metrics/data-metrics.ts';
import type { Dispatcher } from './dispatcher.ts';
import { type RpcProcedure, UNMETERED } from './rpc-program.ts';

/** A call that waits for its answer, as the figures need it. */
export interface CountedCall {
  readonly procedure: RpcProcedure | null;
  readonly meter: number;
  readonly exportNumber: number;
  /** performance.now() */
  readonly arrivedAt: number;
}

export class CallFigures {
  /** When what is handled now was received. performance.now() */
  arrivedAt: number;
  readonly #meter: CallMeter | null;
  /** Lines of the metrics and statuses, in turn, of replies that are not handed to the socket yet. */
  readonly #uncounted: number[];

  /** meter null: nothing is counted. */
  constructor(meter: CallMeter | null) {
    this.arrivedAt = 0;
    this.#meter = meter;
    this.#uncounted = [];
  }

  /** Counts the call that the dispatcher has just answered when its reply is sent. */
  answered({ procedure, meter, exportNumber, status, byteCount }: Dispatcher): void {
    if (meter === UNMETERED) return;
    this.#uncounted.push(meter, status);
    this.#countExport(procedure, exportNumber, byteCount);
  }

  /** The replies of the answered calls are sent now. */
  sent(): void {
    const uncounted = this.#uncounted;
    const meter = this.#meter;
    if (uncounted.length === 0 || meter === null) return;
    const ms = performance.now() - this.arrivedAt;
    for (let i = 0; i < uncounted.length; i += 2) meter.called(uncounted[i]!, uncounted[i + 1]!, ms);
    uncounted.length = 0;
  }

  /** A call that was answered later. isReply: there are results. */
  answeredLater(
    { procedure, meter, exportNumber, arrivedAt }: CountedCall,
    isReply: boolean,
    status: number,
    byteCount: number,
    now: number,
  ): void {
    if (meter === UNMETERED) return;
    this.#meter?.called(meter, isReply ? status : FAILED_INTERNALLY, now - arrivedAt);
    if (isReply) this.#countExport(procedure, exportNumber, byteCount);
  }

  #countExport(procedure: RpcProcedure | null, exportNumber: number, byteCount: number): void {
    if (exportNumber < 0 || procedure === null) return;
    const { moves } = procedure;
    this.#meter?.exported(
      exportNumber,
      moves === 'read' ? byteCount : 0,
      moves === 'written' ? byteCount : 0,
    );
  }
}
