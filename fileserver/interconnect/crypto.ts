/** Node's cryptography for the pure handshake in protocol/interconnect.ts. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { InterconnectCrypto } from '../../protocol/interconnect.ts';

export const interconnectCrypto: InterconnectCrypto = {
  hmac: (key, parts) => {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  },
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};
