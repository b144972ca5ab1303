/** R2 and R10 with one clause left out: the ports of the driver do something else than the driver asks for. */
import { switchFiresAt } from '../../pair/serving-lease.ts';
import { hearing, type Variant } from './variant.ts';

const noSwitch = { arm: () => {}, disarm: () => {} };

export const driverVariants: readonly Variant[] = [
  {
    name: 'LeaseNotChecked',
    rule: 'R2',
    clause:
      'the right is checked before every operation (with no timer behind it, which would cover for that)',
    ports: (ports) => ({
      ...ports,
      watchdog: noSwitch,
      dataPath: {
        ...ports.dataPath,
        grant: (home) => ports.dataPath.grant(home, Number.POSITIVE_INFINITY),
      },
    }),
  },
  {
    name: 'ClosedTooSoon',
    rule: 'R2',
    clause: 'a disk set is released after its last write, when the data path has reported that it is closed',
    ports: (ports, around) => ({
      ...ports,
      dataPath: {
        ...ports.dataPath,
        close: (home, mode) => {
          ports.dataPath.close(home, mode);
          around.feed({ kind: 'diskSetClosed', home });
        },
      },
    }),
  },
  {
    name: 'OpenFailedTakenAsClosed',
    rule: 'R2',
    clause: 'an opening that has failed is not closed: another thread may be inside a system call',
    wrap: hearing((input, { local, partner }) => {
      if (input.kind !== 'diskSetOpenFailed') return input;
      const { role } = input.home === local.home ? local : partner;
      return role.name === 'fencing' ? { kind: 'diskSetClosed', home: input.home } : input;
    }),
  },
  {
    name: 'WithoutDeadMansSwitch',
    rule: 'R10',
    clause: 'a stopped process is killed before it executes another instruction',
    ports: (ports) => ({ ...ports, watchdog: noSwitch }),
  },
  {
    name: 'SwitchArmedLate',
    rule: 'R10',
    clause: 'the switch is armed before the right is published, and not when the disk set has been opened',
    ports: (ports, around) => ({
      ...ports,
      watchdog: {
        ...ports.watchdog,
        arm: (home, at) => {
          if (around.isOpen(home)) ports.watchdog.arm(home, at);
        },
      },
      observer: {
        traced: (home, event, now) => {
          const until = around.leaseEnd(home);
          if (event.name === 'serving' && until !== null)
            ports.watchdog.arm(home, switchFiresAt(until, around.timing));
          ports.observer.traced(home, event, now);
        },
      },
    }),
  },
  {
    name: 'ChangesSaidEndedTooSoon',
    rule: 'R10',
    clause:
      'no change is under way when that is said: each counts from before its check of the right to the end of its call',
    ports: (ports, around) => ({
      ...ports,
      dataPath: {
        ...ports.dataPath,
        grant: (home, until) => {
          ports.dataPath.grant(home, until);
          if (until === null) around.feed({ kind: 'changesEnded', home });
        },
      },
    }),
  },
  {
    name: 'OneSwitchForBoth',
    rule: 'R10',
    clause: 'each disk set has a switch of its own: the end of one leaves that of the other armed',
    ports: (ports, { homes }) => ({
      ...ports,
      watchdog: {
        ...ports.watchdog,
        disarm: () => {
          for (const home of homes) ports.watchdog.disarm(home);
        },
      },
    }),
  },
  {
    name: 'SwitchDisarmedEarly',
    rule: 'R10',
    clause: 'it stays armed until the data path has reported that no change is under way',
    ports: (ports) => ({
      ...ports,
      dataPath: {
        ...ports.dataPath,
        grant: (home, until) => {
          ports.dataPath.grant(home, until);
          if (until === null) ports.watchdog.disarm(home);
        },
      },
    }),
  },
  {
    name: 'SwitchTooLate',
    rule: 'R10',
    clause: 'it fires a part of the guard after the right, before anyone may claim',
    ports: (ports, { timing }) => ({
      ...ports,
      watchdog: {
        ...ports.watchdog,
        arm: (home, at) => ports.watchdog.arm(home, at + 1.5 * timing.guardMs),
      },
    }),
  },
];
