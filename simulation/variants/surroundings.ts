/** R2, R5, R6 and R10 with one clause left out in what surrounds the machine. */
import type { Variant } from './variant.ts';

export const surroundingVariants: readonly Variant[] = [
  {
    name: 'RightNotChecked',
    rule: 'R2',
    clause:
      'the right is checked before every operation (with no timer behind it, which would cover for that)',
    driver: 'rightNotChecked',
  },
  {
    name: 'ClosedTooSoon',
    rule: 'R2',
    clause: 'a disk set is released after its last write, when the data path has reported that it is closed',
    driver: 'closedTooSoon',
  },
  {
    name: 'ClockStopsInPause',
    rule: 'R1',
    clause: 'the clock counts the time in which the machine was suspended',
    driver: 'clockStopsInPause',
  },
  { name: 'WallClock', rule: 'R1', clause: 'the clock cannot be set', driver: 'wallClock' },
  {
    name: 'SilenceByRenewTime',
    rule: 'R3',
    clause: 'silence is never judged by a time that another machine wrote',
    driver: 'silenceByRenewTime',
  },
  {
    name: 'WithoutCompareAndSwap',
    rule: 'R3',
    clause: 'every change of the Lease is a compare-and-swap',
    driver: 'noCompareAndSwap',
  },
  {
    name: 'OneContainerForAll',
    rule: 'R5',
    clause: 'only a later run in the same container of the same pod proves the end of the earlier one',
    driver: 'oneContainerForAll',
  },
  {
    name: 'SentinelGuesses',
    rule: 'R5',
    clause: 'the sentinel never speaks for a process that may still be alive',
    driver: 'sentinelGuesses',
  },
  {
    name: 'OperatorGuesses',
    rule: 'R5',
    clause: 'a pod that is missing, or whose node is not ready, proves nothing',
    driver: 'operatorGuesses',
  },
  {
    name: 'VolumeEpochUnchecked',
    rule: 'R6',
    clause: 'a server refuses a volume whose epoch is higher than its own',
    driver: 'volumeEpochUnchecked',
  },
  {
    name: 'VolumeIdentityUnchecked',
    rule: 'R6',
    clause: 'a server opens a volume only if its record says that it is this disk set’s',
    driver: 'volumeIdentityUnchecked',
  },
  {
    name: 'WithoutDeadMansSwitch',
    rule: 'R10',
    clause: 'a stopped process is killed before it executes another instruction',
    driver: 'noSwitch',
  },
  {
    name: 'SwitchArmedLate',
    rule: 'R10',
    clause: 'the switch is armed before the right is published',
    driver: 'switchArmedLate',
  },
  {
    name: 'SwitchDisarmedEarly',
    rule: 'R10',
    clause: 'it stays armed until the data path has reported that it is closed',
    driver: 'switchDisarmedEarly',
  },
  {
    name: 'SwitchTooLate',
    rule: 'R10',
    clause: 'it fires a part of the guard after the right, before anyone may claim',
    driver: 'switchTooLate',
  },
];
