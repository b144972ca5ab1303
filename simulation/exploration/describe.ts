/** Describes an event of the explorer's world in words. */
import type { PendingEvent } from './world.ts';

export function describe(event: PendingEvent): string {
  switch (event.kind) {
    case 'proof':
      return `the operator writes that ${event.incarnation} is dead, ${event.home} epoch ${event.epoch}`;
    case 'thread':
      return `the thread of volume ${event.volume} of ${event.home} at ${event.to} turns`;
    case 'call': {
      const { effect } = event;
      if (effect.kind === 'readLease') return `${event.from} reads the Lease of ${effect.home}`;
      const { holder, epoch, acknowledger } = effect.ownership;
      return `${event.from} writes the Lease of ${effect.home}: holder ${holder}, epoch ${epoch}, acknowledger ${acknowledger}`;
    }
    case 'input':
      return `${event.to} hears: ${describeInput(event)}`;
  }
}

function describeInput({ input }: Extract<PendingEvent, { kind: 'input' }>): string {
  switch (input.kind) {
    case 'message': {
      const { message, from } = input;
      const said = 'seq' in message ? ` ${message.seq}` : '';
      return `${message.kind}${said} of ${from}`;
    }
    case 'leaseSeen': {
      const { holder, epoch, acknowledger } = input.sighting.record;
      return `the watch of ${input.home}: holder ${holder}, epoch ${epoch}, acknowledger ${acknowledger}`;
    }
    case 'leaseWritten':
    case 'leaseRead':
      return `${input.kind}, ${input.outcome.kind}`;
    case 'partnerConnected':
    case 'partnerDisconnected':
      return `${input.kind} ${input.incarnation}`;
    case 'died':
      return `${input.died.incarnation} has died`;
    default:
      return input.kind;
  }
}
