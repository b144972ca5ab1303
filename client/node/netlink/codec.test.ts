import { describe, expect, test } from 'vitest';
import { addressBytes, addressText, canonicalAddress } from './address.ts';
import { attributesIn, decodeAttributes, encodeAttributes, text, textIn, u32be } from './attributes.ts';
import { decodeEntry, deleteEntryRequest, deleteRequest, getRequest } from './conntrack.ts';
import { decodeReply, encodeMessages, netfilterMessage } from './message.ts';
import { batch, decodeElements, Transaction } from './nftables.ts';
import { decodeSocket, destroyRequest, dumpRequest } from './socket-table.ts';

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');

// Captured bytes are those of nftables 1.0.6, conntrack-tools 1.4.7 and iproute2 6.1, and of Linux 6.18 in answer to them.

describe('attributes', () => {
  test('are padded to four bytes, and their length is without the padding', () => {
    expect(encodeAttributes([[1, text('t')]])).toEqual(hex('0600 0100 7400 0000'));
  });

  test('that hold others say so', () => {
    expect(encodeAttributes([[3, [[1, u32be(5)]]]])).toEqual(hex('0c00 0380 0800 0100 00000005'));
  });

  test('are read back in order, without the flags in their types', () => {
    const bytes = encodeAttributes([
      [2, text('ab')],
      [3, [[1, u32be(7)]]],
    ]);
    expect(attributesIn(bytes).map(([type]) => type)).toEqual([2, 3]);
    expect(textIn(decodeAttributes(bytes).get(2)!)).toBe('ab');
  });

  test('whose length goes beyond the message end the list', () => {
    expect(attributesIn(hex('0800 0100 00000001 ff00 0200'))).toHaveLength(1);
    expect(attributesIn(hex('0300 0100 00000001'))).toEqual([]);
  });
});

describe('nftables', () => {
  test('an element is written as nft writes it', () => {
    const transaction = new Transaction(2, 't').addElements('targets', [
      { key: addressBytes('169.254.77.1'), value: hex('0a000002 0802 0000') },
    ]);
    const [message] = transaction.messages;
    // Of the captured element, the flag of its value (NLA_F_NESTED) is ours: nft sets it too, the kernel leaves it out.
    const withoutNested = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex').replaceAll('80', '00');
    expect(withoutNested(message!.body)).toBe(
      withoutNested(
        hex(
          `02000000 06000100 74000000 0c000200 7461726765747300 24000300 20000100
           0c000100 08000100 a9fe4d01 10000200 0c000100 0a000002 08020000`,
        ),
      ),
    );
  });

  test('the elements of a dump', () => {
    const body = hex(
      `02000009 06000100 74000000 0c000200 7461726765747300 24000300 20000100 0c000100 08000100 a9fe4d01
       10000200 0c000100 0a000002 08020000`,
    );
    expect(decodeElements(body)).toEqual([
      { key: hex('a9fe4d01'), value: hex('0a00000208020000'), expiresMs: null },
    ]);
  });

  test('a batch is between its two marks, and its last message asks for the acknowledgement', () => {
    const messages = batch(new Transaction(2, 't').addTable().flushSet('s').messages);
    expect(messages.map(({ type }) => type)).toEqual([16, 0xa00, 0xa0e, 17]);
    expect(messages.map(({ flags }) => flags & 4)).toEqual([0, 0, 4, 0]);
    expect(messages[0]!.body).toEqual(hex('0000 000a'));
  });
});

describe('tracked connections', () => {
  const flow = {
    source: '10.0.0.1',
    sourcePort: 900,
    destination: '169.254.77.1',
    destinationPort: 2049,
  };
  const tuple = hex(
    `34000180 14000180 08000100 0a000001 08000200 a9fe4d01
     1c000280 05000100 06000000 06000200 03840000 06000300 08010000`,
  );

  test('one is looked up as conntrack looks it up', () => {
    expect(getRequest(flow).body).toEqual(Buffer.concat([hex('02000000'), tuple]));
  });

  test('one is deleted, whatever it is', () => {
    expect(deleteRequest(flow).body).toEqual(Buffer.concat([hex('02000000'), tuple]));
  });

  const reply = {
    source: '10.0.0.2',
    sourcePort: 2050,
    destination: '10.0.0.1',
    destinationPort: 900,
  };
  const replyTuple = hex(
    `34000280 14000180 08000100 0a000002 08000200 0a000001
     1c000280 05000100 06000000 06000200 08020000 06000300 03840000`,
  );
  const id = hex('75470d1f');

  test('one is deleted that is known by its id and by the server that answers', () => {
    const { body } = deleteEntryRequest({ id, reply });
    expect(body).toEqual(Buffer.concat([hex('02000000'), replyTuple, hex('08000c00 75470d1f')]));
  });

  test('an answer says both', () => {
    const answer = [hex('02000000'), tuple, replyTuple, hex('08000300 0000018e 08000c00 75470d1f')];
    expect(decodeEntry(Buffer.concat(answer))).toEqual({ id, reply });
    expect(decodeEntry(hex('02000000 08000300 0000018e'))).toBeNull();
  });
});

describe('sockets', () => {
  test('those of a remote port are asked for as ss asks, in a program of one condition', () => {
    const { body } = dumpRequest(false, 2049);
    // Attribute 1; INET_DIAG_BC_D_COND, 12 bytes to the next instruction, 16 to the end; any address, port 2049.
    expect(body.subarray(56)).toEqual(hex('10000100 080c1000 00000000 01080000'));
    expect(body.subarray(0, 8)).toEqual(hex('02060000 fffb0000').fill(0xff, 4, 5).fill(0x0b, 5, 6));
  });

  test('one of an answer, and what destroys it', () => {
    const id = hex(
      `0384 0801 7f000001 000000000000000000000000 a9fe4d01 000000000000000000000000
       00000000 0100000000000000`,
    );
    const socket = decodeSocket(Buffer.concat([hex('02010000'), id, Buffer.alloc(20)]));
    expect(socket).toEqual({
      state: 'ESTABLISHED',
      source: '127.0.0.1',
      sourcePort: 900,
      destination: '169.254.77.1',
      id,
    });
    const { body } = destroyRequest(socket, false);
    expect(body).toEqual(Buffer.concat([hex('02060000 ffffffff'), id]));
  });
});

describe('answers', () => {
  const message = (type: number, sequence: number, body: Buffer) => {
    const [bytes] = [encodeMessages([{ type, flags: 0, body }], sequence)];
    return bytes!;
  };
  const error = (errno: number) => {
    const body = Buffer.alloc(20);
    body.writeInt32LE(-errno);
    return body;
  };

  test('an acknowledgement is an error of zero', () => {
    expect(decodeReply([message(2, 7, error(0))], 7)).toEqual({
      messages: [],
      failures: [],
      isComplete: true,
    });
  });

  test('each message that failed is named by its place in the request', () => {
    const datagrams = [message(2, 9, error(2)), message(2, 10, error(17))];
    expect(decodeReply(datagrams, 7).failures).toEqual([
      { index: 2, errno: 2 },
      { index: 3, errno: 17 },
    ]);
  });

  test('those of an earlier request are left out', () => {
    expect(decodeReply([message(2, 6, error(1))], 7).failures).toEqual([]);
  });

  test('several in one datagram, the last one cut off', () => {
    const one = message(20, 7, Buffer.from('abcd'));
    const { messages } = decodeReply([Buffer.concat([one, one, one.subarray(0, 18)])], 7);
    expect(messages).toHaveLength(2);
  });

  test('requests are numbered one after the other', () => {
    const bytes = encodeMessages([netfilterMessage(1, 0, 2, []), netfilterMessage(2, 0, 2, [])], 5);
    expect([bytes.readUInt32LE(8), bytes.readUInt32LE(20 + 8)]).toEqual([5, 6]);
  });
});

describe('addresses', () => {
  test('have one text each', () => {
    for (const form of ['fd00::77:1', 'fd00:0:0:0:0:0:77:1', 'FD00:0::0077:1'])
      expect(canonicalAddress(form)).toBe('fd00:0:0:0:0:0:77:1');
    expect(canonicalAddress('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(canonicalAddress('::1')).toBe('0:0:0:0:0:0:0:1');
    expect(canonicalAddress('fe80::1%eth0')).toBe('fe80:0:0:0:0:0:0:1');
  });

  test('become bytes and text again', () => {
    expect(addressText(addressBytes('10.1.2.3'))).toBe('10.1.2.3');
    expect(addressBytes('::ffff:1.2.3.4').toString('hex')).toBe('00000000000000000000ffff01020304');
  });
});
