/** Carries out requests of administrators, and gives a disk set back without one when its home server is back. */

import { type ServerName, serverOf } from '../incarnation.ts';
import type { TransferRequest } from '../lease.ts';
import { askedFor, givebackVetoes, policyOf, type Recipient, transferVetoes } from '../transfer-policy.ts';
import { partiesOf, refuse, wantedOwner } from './answers.ts';
import { leave } from './serving.ts';
import type { Context, DiskSetState, Holder } from './state.ts';

/** Only the holder can act on a request, and only with its port open; others say so, or leave it to it. */
export function request(state: DiskSetState, asked: TransferRequest, context: Context): DiskSetState {
  const { identity } = context;
  const { role, home } = state;
  const handled = { ...state, handledRequest: asked.id };
  if (role.name !== 'holder') {
    // Questions that wait for a request, and those that only an administrator can decide, are decided here and not by the owner.
    const mine = wantedOwner(home, asked, context) === identity.server;
    if (
      mine &&
      state.seen !== null &&
      ((asked.force === true && asked.reason !== '') || state.detected !== null)
    ) {
      const about = asked.about ?? partiesOf(state.seen.record);
      return { ...handled, local: asked, asked: { id: asked.id, since: context.now, about } };
    }
    const owner = state.seen?.record.holder ?? null;
    const message =
      owner === null
        ? `nobody owns ${home} now`
        : `${identity.server} does not own ${home}; ask ${serverOf(owner)}`;
    return refuse(handled, asked.id, message, context);
  }
  const wanted = wantedOwner(home, asked, context);
  if (wanted === identity.server) {
    return refuse(handled, asked.id, `${wanted} serves ${home} already`, context);
  }
  if (role.port !== 'open') {
    const doing = role.port === 'opening' ? 'is being opened' : 'is being handed over already';
    return refuse(handled, asked.id, `${home} ${doing}`, context);
  }
  const override = asked.override ?? [];
  const vetoes = transferVetoes(recipient(home, context)).filter(({ veto }) => !override.includes(veto));
  if (vetoes.length > 0) {
    const message = vetoes.map(({ veto, message: why }) => `${veto}: ${why}`).join('; ');
    return refuse(handled, asked.id, message, context);
  }
  return leave(
    { ...handled, memory: askedFor(state.memory) },
    role,
    { to: wanted, requestId: asked.id, message: asked.reason },
    context,
  );
}

function recipient(home: ServerName, context: Context): Recipient {
  return {
    name: context.identity.partner,
    steady: context.steadyPartner,
    steadySince: context.steadySince,
    cannotServe: context.partnerCannotServe.includes(home),
  };
}

/** The home server is back, and nothing speaks against a giveback without a request. */
export function timeToGiveBack(state: DiskSetState, role: Holder, context: Context): boolean {
  const { identity, now } = context;
  const { giveback } = policyOf(identity);
  if (giveback.mode !== 'Automatic' || state.home === identity.server || role.port !== 'open') return false;
  return (
    givebackVetoes(recipient(state.home, context), state.memory, state.seen!.record, giveback, now).length ===
    0
  );
}
