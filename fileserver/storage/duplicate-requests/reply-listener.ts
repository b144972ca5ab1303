/** Takes the reply to a call that is answered later. A second call does nothing. */

/**
 * results: of the procedure. They come behind a reply header with the request's XID. null: the procedure has thrown, and the reply
 * is SYSTEM_ERR (RFC 5531 §9).
 *
 * byteCount: bytes of data that a READ or WRITE has moved.
 */
export type ReplyListener = (results: Uint8Array | null, status: number, byteCount: number) => void;
