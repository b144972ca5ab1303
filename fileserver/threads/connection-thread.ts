/**
 * A thread that holds connections, of both disk sets, and executes what only reads. It makes no call that a frozen file
 * system or a flush can hold up: docs/fileserver.md says what a stuck disk stops.
 */

import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { groupsOf } from '../groups/group-directory.ts';
import { CallMeter, publishLabels, slotNumber } from '../metrics/data-metrics.ts';
import { AdaptivePoller } from '../rpc/adaptive-poller.ts';
import type { ConnectionMemory } from '../rpc/connection.ts';
import { LongRecords } from '../rpc/long-records.ts';
import { OutputSlabs } from '../rpc/output-slabs.ts';
import { LeaseTable } from '../serving-lease/lease-table.ts';
import { warmUpAttaching } from '../storage/volume/open-volume.ts';
import { failpoints } from '../system/failpoints.ts';
import { close } from '../system/file-calls.ts';
import { giveWay, processorTime } from '../system/processors.ts';
import { inBackground, nextTurn, repeat, reportErrorsTo } from '../system/turns.ts';
import { tellBug } from './bug-reports.ts';
import { ConnectionService } from './connection-service.ts';
import { warmUpConnection } from './connection-warm-up.ts';
import type { ThreadSetup } from './data-threads.ts';
import { HeldUp } from './held-up.ts';
import { ThreadBoard, TURN_MS } from './thread-board.ts';
import type { Channel, FromDataThreads, RepliesMessage, ToConnectionThread } from './thread-messages.ts';

/**
 * Bytes that one read of a socket takes at most, but in the middle of a long record. All connections of the thread share it.
 * Small: what it has of a long record's beginning is copied once more.
 */
const INPUT_SIZE = 64 * 1024;
const TICK_MS = 1000;

export function runConnectionThread(coordinator: Channel, setup: ThreadSetup): void {
  publishLabels(setup.metrics);
  const board = new ThreadBoard(setup.board);
  const leases = new LeaseTable(setup.leases);
  // Unknown processor time counts as rationed.
  const busyPoll = setup.busyPoll && processorTime() === 'free';
  const memory: ConnectionMemory = {
    input: new Uint8Array(INPUT_SIZE),
    slabs: new OutputSlabs(),
    longRecords: new LongRecords(),
    poller: new AdaptivePoller({
      mayPoll: () => busyPoll && board.mayBusyPoll(),
      pollEnded: () => board.fallAsleep(),
      now: () => performance.now(),
      giveWay,
      nextTurn,
    }),
    expectedSize: 0,
    waitingForGroups: { heldSize: 0 },
  };
  const volumeThreads = new Map<number, Channel>(setup.channels);
  const groups = groupsOf(setup.groupChannel);
  const services = new Map<number, ConnectionService>();
  const post = (message: FromDataThreads): void => coordinator.postMessage(message);
  reportErrorsTo((error) => tellBug(services.values(), error));

  for (const [thread, channel] of setup.channels) {
    channel.on('message', (message: RepliesMessage) => {
      memory.poller.arrived();
      for (const service of services.values()) service.receive(thread, message);
    });
  }
  coordinator.on('message', (message: ToConnectionThread) => {
    if (message.kind === 'attach') {
      const service = new ConnectionService(message, {
        leases,
        memory,
        limits: setup.limits,
        groups,
        post,
        volumeThreads,
        meter:
          failpoints.uncounted === true
            ? null
            : new CallMeter(setup.metrics, setup.number, slotNumber(message.diskSet)),
        onConnectionEnded: (admission) => {
          board.connectionEnded(setup.number);
          post({ kind: 'ended', session: message.session, admission });
        },
      });
      services.set(message.session, service);
      service.attach();
      return;
    }
    const service = services.get(message.session);
    if (service === undefined) {
      const { session } = message;
      if (message.kind === 'adopt') {
        close(message.fd);
        board.connectionEnded(setup.number);
        post({ kind: 'ended', session, admission: message.admission });
      }
      if (message.kind === 'close') post({ kind: 'closed', session });
      if (message.kind === 'roots' && message.change !== null)
        post({ kind: 'rooted', session, change: message.change });
      return;
    }
    handle(service, message, () => services.delete(message.session));
  });
  board.turn(setup.number);
  for (const volume of setup.volumes) inBackground(warmUpAttaching(volume));
  inBackground(warmUpConnection(memory, setup.limits));
  const heldUp = new HeldUp(TURN_MS, performance.now());
  repeat(() => {
    board.turn(setup.number);
    heldUp.look(performance.now());
    for (const service of services.values()) service.lookForStalls(heldUp);
  }, TURN_MS);
  repeat(() => {
    memory.slabs.trim();
    const givenUp = memory.longRecords.trim();
    for (const service of services.values()) service.tick(givenUp);
  }, failpoints.tickMs ?? TICK_MS);
}

function handle(
  service: ConnectionService,
  message: Exclude<ToConnectionThread, { kind: 'attach' }>,
  remove: () => void,
): void {
  switch (message.kind) {
    case 'adopt':
      service.adopt(message);
      return;
    case 'mounts':
      service.replaceMounts(message.mounts);
      return;
    case 'exports':
      service.replaceExports(message.exports);
      return;
    case 'exportChanges':
      service.changeExports(message.changes);
      return;
    case 'roots':
      service.learnRoots(message.roots, message.change);
      return;
    case 'drain':
      inBackground(service.drain());
      return;
    case 'halt':
      service.halt();
      return;
    case 'close':
      inBackground(service.close(message.mode).then(remove));
      return;
  }
}

// A test runs threads in one process.
if (parentPort !== null) runConnectionThread(parentPort, workerData as ThreadSetup);
