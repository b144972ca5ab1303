/** A refusal with the status of gRPC that the CSI specification names for it. */
import { status } from '@grpc/grpc-js';

export class CsiError extends Error {
  override name = 'CsiError';
  readonly code: number;

  constructor(code: keyof typeof status, message: string) {
    super(message);
    this.code = status[code];
  }
}
