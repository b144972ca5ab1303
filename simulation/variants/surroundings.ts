/** R1, R3, R5 and R6 with one clause left out in what surrounds the driver. */
import type { Variant } from './variant.ts';

export const surroundingVariants: readonly Variant[] = [
  {
    name: 'ClockStopsInPause',
    rule: 'R1',
    clause: 'the clock counts the time in which the machine was suspended',
    fault: 'clockStopsInPause',
  },
  { name: 'WallClock', rule: 'R1', clause: 'the clock cannot be set', fault: 'wallClock' },
  {
    name: 'SilenceByRenewTime',
    rule: 'R3',
    clause: 'silence is never judged by a time that another machine wrote',
    fault: 'silenceByRenewTime',
  },
  {
    name: 'WithoutCompareAndSwap',
    rule: 'R3',
    clause: 'every change of the Lease is a compare-and-swap',
    fault: 'noCompareAndSwap',
  },
  {
    name: 'OneContainerForAll',
    rule: 'R5',
    clause: 'only a later run in the same container of the same pod proves the end of the earlier one',
    fault: 'oneContainerForAll',
  },
  {
    name: 'SentinelGuesses',
    rule: 'R5',
    clause: 'the sentinel never speaks for a process that may still be alive',
    fault: 'sentinelGuesses',
  },
  {
    name: 'OperatorGuesses',
    rule: 'R5',
    clause: 'a pod that is missing, or whose node is not ready, proves nothing',
    fault: 'operatorGuesses',
  },
  {
    name: 'HaltUntold',
    rule: 'R2',
    clause:
      'a disk set that the data path has halted is told, so that no server holds what it does not serve',
    fault: 'haltUntold',
  },
  {
    name: 'VolumeEpochUnchecked',
    rule: 'R6',
    clause: 'a server refuses a volume whose epoch is higher than its own',
    fault: 'volumeEpochUnchecked',
  },
  {
    name: 'VolumeIdentityUnchecked',
    rule: 'R6',
    clause: 'a server opens a volume only if its record says that it is this disk set’s',
    fault: 'volumeIdentityUnchecked',
  },
  {
    name: 'ClosedByFirstThread',
    rule: 'R2',
    clause: 'a disk set is closed when the threads of all its volumes have said so',
    fault: 'closedByFirstThread',
  },
  {
    name: 'OpenedByFirstThread',
    rule: 'R6',
    clause: 'a disk set is open when the ownership record is on all its volumes',
    fault: 'openedByFirstThread',
  },
  {
    name: 'OwnerNotLookedAt',
    rule: 'R6',
    clause: 'the ownership record is looked at while a disk set is served',
    fault: 'ownerNotLookedAt',
  },
  {
    name: 'LookedAtBeforeOnly',
    rule: 'R6',
    clause: 'nothing is answered before a read behind its flush',
    fault: 'lookedAtBeforeOnly',
  },
  {
    name: 'OwnerRecordedOnce',
    rule: 'R6',
    clause: 'the ownership record is written until it is in both blocks',
    fault: 'ownerRecordedOnce',
  },
  {
    name: 'JournalReadOnce',
    rule: 'R6',
    clause: 'the journal is looked at again when the ownership record is written',
    fault: 'journalReadOnce',
  },
];
