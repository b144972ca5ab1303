/**
 * When a takeover begins, when a giveback does, when a pod is replaced. What is not set is not stored: a better default reaches
 * pairs that exist. status.effective shows the values in force.
 */

import { z } from 'zod';
import { duration } from '../fields.ts';
import { durationMs } from '../quantities.ts';
import { type Rule, withRules } from '../rule.ts';

export const timingDefaults = {
  leaseDuration: '2s',
  guardDuration: '500ms',
  heartbeatPeriod: '200ms',
  nodeNotReadyTimeout: '30s',
  stableFor: '60s',
  maxRetries: 2,
  maxTakeovers: 3,
  takeoverWindow: '1h',
} as const;

type Durations = 'leaseDuration' | 'guardDuration' | 'heartbeatPeriod';
type Failover = { readonly [K in Durations]?: string | undefined };

const cel = (name: Durations): string =>
  `(has(self.${name}) ? duration(self.${name}) : duration('${timingDefaults[name]}'))`;
const ms = (self: Failover, name: Durations): number => durationMs(self[name] ?? timingDefaults[name]);

const relations: readonly Rule<Failover>[] = [
  {
    cel: `${cel('heartbeatPeriod')} >= duration('20ms')`,
    message: 'heartbeatPeriod must be at least 20ms',
    field: ['heartbeatPeriod'],
    holds: (self) => ms(self, 'heartbeatPeriod') >= 20,
  },
  {
    cel: `${cel('heartbeatPeriod')} + ${cel('heartbeatPeriod')} + ${cel('heartbeatPeriod')} <= ${cel('leaseDuration')}`,
    message:
      'leaseDuration must be at least three heartbeatPeriods, or one lost heartbeat looks like a death',
    field: ['leaseDuration'],
    holds: (self) => ms(self, 'heartbeatPeriod') * 3 <= ms(self, 'leaseDuration'),
  },
  {
    cel: `${cel('leaseDuration')} >= duration('300ms') && ${cel('leaseDuration')} <= duration('60s')`,
    message: 'leaseDuration must be between 300ms and 60s',
    field: ['leaseDuration'],
    holds: (self) => ms(self, 'leaseDuration') >= 300 && ms(self, 'leaseDuration') <= 60_000,
  },
  {
    cel: `${cel('guardDuration')} >= duration('100ms') && ${cel('guardDuration')}.getMilliseconds() * 10 >= ${cel('leaseDuration')}.getMilliseconds()`,
    message:
      'guardDuration must be at least 100ms and a tenth of leaseDuration: a stalled server has to be dead (lease + guard/2) before its partner may take over (lease + guard or later)',
    field: ['guardDuration'],
    holds: (self) =>
      ms(self, 'guardDuration') >= 100 && ms(self, 'guardDuration') * 10 >= ms(self, 'leaseDuration'),
  },
  {
    cel: `${cel('guardDuration')} <= ${cel('leaseDuration')}`,
    message: 'guardDuration must not be longer than leaseDuration',
    field: ['guardDuration'],
    holds: (self) => ms(self, 'guardDuration') <= ms(self, 'leaseDuration'),
  },
];

export const failover = withRules(
  z.object({
    mode: z.enum(['Automatic', 'Manual']).default('Automatic').meta({
      description:
        'Automatic: the partner takes over by itself. Manual: a takeover waits for a FilerPairOperation; clients wait as long.',
    }),
    leaseDuration: duration(
      'T: how long a server may serve after the last confirmation by its partner or by the API; absent: 2s. A silent death costs clients the wait for silence: leaseDuration + guardDuration, or 13/11 of leaseDuration + guardDuration/2 if that is longer, as clocks may be slewed.',
    ).optional(),
    guardDuration: duration(
      'Added to the lease before the partner claims; absent: 500ms. Covers clock drift, and its first half the time until the kernel has killed a stalled server.',
    ).optional(),
    heartbeatPeriod: duration('Interval between two heartbeats of the servers; absent: 200ms.').optional(),
  }),
  relations,
).meta({ description: 'How a failure is detected and what follows.' });

const automatic = withRules(
  z.object({
    stableFor: duration(
      'How long the home server must have been heard without a gap; absent: 60s.',
    ).optional(),
    maxRetries: z.int().min(0).max(100).optional().meta({
      description:
        'Further attempts after one that the home server did not complete; absent: 2. Each waits twice as long; then an operation has to ask.',
    }),
    maxTakeovers: z.int().min(1).max(16).optional().meta({
      description:
        'So many takeovers within takeoverWindow end automatic givebacks until an operation asks for one; absent: 3. Otherwise a disk set would go to and fro.',
    }),
    takeoverWindow: duration('Time in which takeovers are counted; absent: 1h.').optional(),
  }),
  [
    {
      cel: "!has(self.takeoverWindow) || duration(self.takeoverWindow) >= duration('1m')",
      message: 'takeoverWindow must be at least 1m',
      field: ['takeoverWindow'],
      holds: (self) => self.takeoverWindow === undefined || durationMs(self.takeoverWindow) >= 60_000,
    },
  ],
);

export const giveback = withRules(
  z.object({
    mode: z.enum(['Automatic', 'Manual']).default('Automatic').meta({
      description:
        'Automatic: a disk set is given back by itself when its server is back and has been stable for a while. Manual: a FilerPairOperation asks for it.',
    }),
    automatic: automatic.optional().meta({ description: 'With mode Automatic.' }),
  }),
  [
    {
      cel: "self.mode == 'Automatic' || !has(self.automatic)",
      message: 'automatic belongs to the mode Automatic',
      field: ['automatic'],
      holds: (self) => self.mode === 'Automatic' || self.automatic === undefined,
    },
  ],
).meta({ description: 'How a disk set goes back to its own server after a takeover.' });

export const podReplacement = withRules(
  z.object({
    nodeNotReadyTimeout: duration(
      'How long a node may be not ready before its server gets a new pod on another node; absent: 30s. Clients do not wait for it: the partner has taken over by then.',
    ).optional(),
  }),
  [
    {
      cel: "!has(self.nodeNotReadyTimeout) || duration(self.nodeNotReadyTimeout) >= duration('5s')",
      message: 'nodeNotReadyTimeout must be at least 5s',
      field: ['nodeNotReadyTimeout'],
      holds: (self) => self.nodeNotReadyTimeout === undefined || durationMs(self.nodeNotReadyTimeout) >= 5000,
    },
  ],
).meta({ description: 'When a server’s pod is replaced.' });
