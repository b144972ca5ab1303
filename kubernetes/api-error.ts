/**
 * Errors of API requests, told apart by the one thing a caller must know before it acts again: can the request
 * have been executed?
 */

/**
 * - `refused`: the API server answered no (4xx): surely not executed.
 * - `notSent`: no connection, no request: surely not executed.
 * - `unknown`: sent, but no usable answer (time-out, reset connection, cut answer, 5xx): a write may or may not have
 *   been executed, or may yet be. A caller that needs to know reads the object again.
 */
export type Outcome = 'refused' | 'notSent' | 'unknown';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly outcome: Outcome;
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** `reason` of the API's Status object (`Conflict`, `NotFound`, `Expired`, ...), or a socket's error code. */
  readonly reason: string;
  /** How long the API asks us to wait, in ms (Retry-After). */
  readonly retryAfterMs: number | undefined;

  constructor(fields: {
    outcome: Outcome;
    message: string;
    reason: string;
    status?: number | undefined;
    retryAfterMs?: number | undefined;
    cause?: unknown;
  }) {
    super(fields.message, { cause: fields.cause });
    this.outcome = fields.outcome;
    this.status = fields.status;
    this.reason = fields.reason;
    this.retryAfterMs = fields.retryAfterMs;
  }
}

const has = (error: unknown, status: number): boolean => error instanceof ApiError && error.status === status;

/** The object that would come of it is not valid. */
export const isInvalid = (error: unknown): boolean => has(error, 422);
export const isNotFound = (error: unknown): boolean => has(error, 404);
/** 409 with another reason (AlreadyExists) is not a lost compare-and-swap. */
export const isConflict = (error: unknown): boolean =>
  has(error, 409) && (error as ApiError).reason !== 'AlreadyExists';
export const isAlreadyExists = (error: unknown): boolean =>
  has(error, 409) && (error as ApiError).reason === 'AlreadyExists';
/** The resourceVersion asked for is gone: list again. Comes as HTTP 410 and as an ERROR inside a watch. */
export const isGone = (error: unknown): boolean =>
  has(error, 410) || (error instanceof ApiError && error.reason === 'Expired');

interface StatusObject {
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly code?: unknown;
  readonly details?: { readonly retryAfterSeconds?: unknown };
}

/** The error for an answer that is no success; `body` is the API's Status object or anything a proxy made of it. */
export function errorFromAnswer(
  what: string,
  status: number,
  body: string,
  retryAfter: string | undefined,
): ApiError {
  let parsed: StatusObject | undefined;
  try {
    parsed = JSON.parse(body) as StatusObject;
  } catch {
    parsed = undefined;
  }
  const message = typeof parsed?.message === 'string' ? parsed.message : body.slice(0, 300).trim();
  const seconds = Number(retryAfter ?? parsed?.details?.retryAfterSeconds);
  return new ApiError({
    // A 5xx may come from a gateway, or from an API server whose write to etcd timed out after it was proposed.
    outcome: status >= 400 && status < 500 ? 'refused' : 'unknown',
    status,
    reason: typeof parsed?.reason === 'string' && parsed.reason !== '' ? parsed.reason : `Http${status}`,
    message: `${what}: ${status} ${message}`,
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined,
  });
}

/** The error for an ERROR event inside a watch: HTTP said 200 long ago, the Status object says what is wrong now. */
export function errorFromStatus(what: string, object: unknown): ApiError {
  const status = (object ?? {}) as StatusObject;
  const code = typeof status.code === 'number' ? status.code : 500;
  return errorFromAnswer(what, code, JSON.stringify(status), undefined);
}
