/** spec of a FilerPair, and the rules between its parts. */

import { z } from 'zod';
import { keyed, objectName, text } from '../fields.ts';
import { type Rule, withRules } from '../rule.ts';
import { exposure, listeners, names } from './exposure.ts';
import { podTemplate } from './pod-template.ts';
import { interconnect, maintenance, monitoring, rollout } from './running.ts';
import { servers } from './servers.ts';
import { storage } from './storage.ts';
import { failover, giveback, podReplacement } from './timing.ts';
import { volumes } from './volumes.ts';

const antiAffinity = keyed(
  z.object({
    topologyKey: text('Label of nodes, such as kubernetes.io/hostname or topology.kubernetes.io/zone.', 317),
    mode: z.enum(['Preferred', 'Required']).default('Preferred').meta({
      description:
        'Preferred: the servers run apart where that is possible. Required: rather not at all than together; a pod then waits for a node.',
    }),
  }),
  'topologyKey',
  0,
  4,
  'What the two servers shall not share; absent: a node, if possible. Not with storage.type SameNode, which keeps them together.',
).optional();

const parts = z.object({
  className: objectName(
    'FilerPairClass: what the administrator provides and allows. Absent: the class that is marked as the default. Cannot be changed.',
  ).optional(),
  storage: storage.optional(),
  servers,
  volumes: volumes.optional(),
  listeners,
  exposure: exposure.prefault({}),
  names: names.prefault({}),
  failover: failover.prefault({}),
  giveback: giveback.prefault({}),
  podReplacement: podReplacement.optional(),
  antiAffinity,
  podTemplate: podTemplate.optional().meta({ description: 'The pods of both servers.' }),
  interconnect: interconnect.prefault({}),
  monitoring: monitoring.prefault({}),
  maintenance: maintenance.optional(),
  rollout: rollout.prefault({}),
});

type Spec = z.output<typeof parts>;
type ServerVolume = NonNullable<Spec['servers'][number]['volumes']>[number];

const volumesOfServers = (self: Spec): readonly ServerVolume[] =>
  self.servers.flatMap(({ volumes: own = [] }) => own);

const accessModes = (self: Spec): readonly string[] =>
  [...(self.volumes ?? []), ...volumesOfServers(self)].flatMap(
    ({ claimTemplate }) => claimTemplate?.spec.accessModes ?? [],
  );

/** CEL: `mode` holds for every access mode that is written down. */
const celAccessModes = (mode: string): string =>
  `(!has(self.volumes) || self.volumes.all(v, !has(v.claimTemplate.spec.accessModes) || v.claimTemplate.spec.accessModes.all(m, ${mode}))) && self.servers.all(s, !has(s.volumes) || s.volumes.all(v, !has(v.claimTemplate) || !has(v.claimTemplate.spec.accessModes) || v.claimTemplate.spec.accessModes.all(m, ${mode})))`;

const celType = (type: string): string => `(has(self.storage) && self.storage.type == '${type}')`;

const portsOf = (self: Spec): number[] => [
  ...self.listeners.flatMap(({ port, failoverPort }) => [port, failoverPort]),
  self.interconnect.port,
  self.monitoring.port,
];

const CEL_PORTS =
  '(self.listeners.map(l, l.port) + self.listeners.map(l, l.failoverPort) + [self.interconnect.port, self.monitoring.port])';

const nodePortsOf = (self: Spec): number[] =>
  self.servers
    .flatMap(({ nodePorts = [] }) => nodePorts.flatMap(({ port, failoverPort }) => [port, failoverPort]))
    .filter((one) => one !== undefined);

const celDiffer = (['port', 'failoverPort'] as const)
  .flatMap((mine) =>
    (['port', 'failoverPort'] as const).map(
      (its) => `(!has(p.${mine}) || !has(q.${its}) || p.${mine} != q.${its})`,
    ),
  )
  .join(' && ');

const rules: readonly Rule<Spec>[] = [
  {
    cel: '(has(self.volumes) && size(self.volumes) > 0) || self.servers.all(s, has(s.volumes) && size(s.volumes) > 0)',
    message: 'each server needs a volume at least, in spec.volumes or in its own',
    field: ['volumes'],
    holds: (self) =>
      (self.volumes ?? []).length > 0 || self.servers.every(({ volumes: own = [] }) => own.length > 0),
  },
  {
    cel: 'self.servers.all(s, !has(s.volumes) || s.volumes.all(v, !has(v.claimRef) || self.servers.map(t, has(t.volumes) ? size(t.volumes.filter(w, has(w.claimRef) && w.claimRef.name == v.claimRef.name)) : 0).sum() == 1))',
    message: 'claimRef: a claim can be one volume only',
    field: ['servers'],
    holds: (self) => {
      const claims = volumesOfServers(self).flatMap(({ claimRef }) => claimRef?.name ?? []);
      return new Set(claims).size === claims.length;
    },
  },
  {
    cel: `${CEL_PORTS}.all(p, ${CEL_PORTS}.exists_one(q, p == q))`,
    message: 'the ports of listeners, interconnect and monitoring must all be different',
    field: ['listeners'],
    holds: (self) => new Set(portsOf(self)).size === portsOf(self).length,
  },
  {
    cel: 'self.servers.all(s, !has(s.nodePorts) || s.nodePorts.all(p, self.listeners.exists(l, l.name == p.listener)))',
    message: 'nodePorts must name listeners of spec.listeners',
    field: ['servers'],
    holds: (self) =>
      self.servers.every(({ nodePorts = [] }) =>
        nodePorts.every(({ listener }) => self.listeners.some(({ name }) => name === listener)),
      ),
  },
  {
    cel: `self.servers.all(s, !has(s.nodePorts) || s.nodePorts.all(p, (!has(p.port) || !has(p.failoverPort) || p.port != p.failoverPort) && self.servers.all(t, !has(t.nodePorts) || t.nodePorts.all(q, (t.name == s.name && q.listener == p.listener) || (${celDiffer})))))`,
    message: 'nodePorts: every Service needs a number of its own, so all that are given are different',
    field: ['servers'],
    holds: (self) => new Set(nodePortsOf(self)).size === nodePortsOf(self).length,
  },
  {
    cel: "self.exposure.type in ['NodePort', 'LoadBalancer'] || self.servers.all(s, !has(s.nodePorts) || size(s.nodePorts) == 0)",
    message: 'nodePorts need exposure.type NodePort or LoadBalancer',
    field: ['exposure'],
    holds: (self) =>
      self.exposure.type === 'NodePort' ||
      self.exposure.type === 'LoadBalancer' ||
      self.servers.every(({ nodePorts = [] }) => nodePorts.length === 0),
  },
  {
    cel: "self.interconnect.tls.source == 'Secrets' ? self.servers.all(s, has(s.interconnectCertificateRef)) : self.servers.all(s, !has(s.interconnectCertificateRef))",
    message:
      'interconnectCertificateRef belongs to interconnect.tls.source Secrets, which needs it of both servers',
    field: ['servers'],
    holds: (self) =>
      self.servers.every(
        ({ interconnectCertificateRef: its }) =>
          (its !== undefined) === (self.interconnect.tls.source === 'Secrets'),
      ),
  },
  {
    cel: `!${celType('SameNode')} || !has(self.antiAffinity) || self.antiAffinity.all(s, s.mode == 'Preferred')`,
    message: 'storage.type SameNode keeps the servers together: antiAffinity must not require them apart',
    field: ['antiAffinity'],
    holds: (self) =>
      self.storage?.type !== 'SameNode' ||
      (self.antiAffinity ?? []).every(({ mode }) => mode === 'Preferred'),
  },
  {
    cel: `!${celType('SameNode')} || self.exposure.type != 'HostNetwork'`,
    message:
      'exposure.type HostNetwork: two servers cannot listen on the same ports of one node, where storage.type SameNode keeps them; use NodePort',
    field: ['exposure'],
    holds: (self) => self.storage?.type !== 'SameNode' || self.exposure.type !== 'HostNetwork',
  },
  {
    cel: `!${celType('Reattach')} || (${celAccessModes("m != 'ReadWriteMany'")})`,
    message:
      'storage.type Reattach needs claims with accessModes ReadWriteOnce or ReadWriteOncePod: one that may be attached to two nodes at once fences nothing',
    field: ['storage'],
    holds: (self) => self.storage?.type !== 'Reattach' || !accessModes(self).includes('ReadWriteMany'),
  },
  {
    cel: `!(${celType('SharedCoherent')} || ${celType('SharedWriteThrough')}) || (${celAccessModes("m == 'ReadWriteMany'")})`,
    message:
      'two nodes cannot mount a claim that is not ReadWriteMany: storage.type Reattach moves it from node to node, SameNode keeps both servers on one',
    field: ['storage'],
    holds: (self) =>
      self.storage === undefined ||
      !self.storage.type.startsWith('Shared') ||
      accessModes(self).every((mode) => mode === 'ReadWriteMany'),
  },
  {
    cel: `!${celType('SameNode')} || (${celAccessModes("m != 'ReadWriteOncePod'")})`,
    message: 'a ReadWriteOncePod claim needs storage.type Reattach: two pods cannot use it',
    field: ['storage'],
    holds: (self) => self.storage?.type !== 'SameNode' || !accessModes(self).includes('ReadWriteOncePod'),
  },
  {
    cel: '!has(self.maintenance) || !has(self.maintenance.drain) || self.maintenance.drain.all(d, self.servers.exists(s, s.name == d))',
    message: 'maintenance.drain must name servers of this pair',
    field: ['maintenance'],
    holds: (self) =>
      (self.maintenance?.drain ?? []).every((one) => self.servers.some(({ name }) => name === one)),
  },
];

export const filerPairSpec = withRules(parts, rules, [
  {
    cel: 'has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)',
    message: 'className cannot be changed',
    holds: (self, before) => self.className === before.className,
  },
  {
    cel: 'has(self.storage) == has(oldSelf.storage)',
    message: 'storage cannot be added or removed: what holds for a volume does not change while servers run',
    holds: (self, before) => (self.storage === undefined) === (before.storage === undefined),
  },
]);

/** As an administrator writes it: what has a default may be absent. */
export type FilerPairSpecInput = z.input<typeof filerPairSpec>;
