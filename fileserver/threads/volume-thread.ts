/**
 * A thread that makes every change to one or more volumes of one disk set. Where its disk holds it, nothing but these
 * volumes waits.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { groupsOf } from '../groups/group-directory.ts';
import { VolumeMeter } from '../metrics/data-metrics.ts';
import { warmUpRecovery } from '../nfs3/recovery.ts';
import { LeaseTable } from '../serving-lease/lease-table.ts';
import { warmUpOpening } from '../storage/volume/open-volume.ts';
import { CAP_SYS_RESOURCE, dropCapability } from '../system/capabilities.ts';
import { clearUmask } from '../system/file-calls.ts';
import { inBackground, repeat, reportErrorsTo } from '../system/turns.ts';
import { tellBug } from './bug-reports.ts';
import type { ThreadSetup } from './data-threads.ts';
import type { PrepareMessage } from './messages.ts';
import { PreparedVolumes } from './prepared-volumes.ts';
import { ThreadBoard, TURN_MS } from './thread-board.ts';
import type { CallsMessage, Channel, FromDataThreads, ToVolumeThread } from './thread-messages.ts';
import { VolumeService } from './volume-service.ts';

export function runVolumeThread(coordinator: Channel, setup: ThreadSetup): void {
  clearUmask();
  // setfsuid(2) leaves it on the thread: users of clients would get what is reserved for root, and pass hard quotas.
  dropCapability(CAP_SYS_RESOURCE);
  const board = new ThreadBoard(setup.board);
  const leases = new LeaseTable(setup.leases);
  const groups = groupsOf(setup.groupChannel);
  const services = new Map<number, VolumeService>();
  const prepared = new PreparedVolumes();
  const post = (message: FromDataThreads): void => coordinator.postMessage(message);
  reportErrorsTo((error) => tellBug(services.values(), error));
  const { limits } = setup;
  const connectionThreads = setup.channels.map(([, channel]) => channel);

  for (const channel of connectionThreads) {
    channel.on('message', (message: CallsMessage) => services.get(message.session)?.take(channel, message));
  }
  coordinator.on('message', (message: ToVolumeThread | PrepareMessage) => {
    if (message.kind === 'prepare') {
      prepared.prepare(message);
      return;
    }
    const { session } = message;
    if (message.kind === 'verify') {
      const service = new VolumeService(session, message.part, {
        leases,
        limits,
        groups,
        post,
        connectionThreads,
        prepared: prepared.take(message.part.diskSet, message.part.epoch),
        meter: (volume) =>
          new VolumeMeter(
            setup.metrics,
            setup.connectionThreads,
            setup.number - setup.connectionThreads,
            volume,
          ),
      });
      services.set(session, service);
      inBackground(service.verify());
      return;
    }
    const service = services.get(session);
    if (service === undefined) {
      if (message.kind === 'close') post({ kind: 'closed', session });
      if (message.kind === 'exports' || message.kind === 'exportChanges')
        post({ kind: 'exported', session, change: message.change, roots: [] });
      return;
    }
    handle(service, message, () => services.delete(session));
  });
  board.turn(setup.number);
  inBackground(Promise.all(setup.volumes.map(warmUpOpening)).then(warmUpRecovery));
  repeat(() => board.turn(setup.number), TURN_MS);
}

function handle(
  service: VolumeService,
  message: Exclude<ToVolumeThread, { kind: 'verify' }>,
  remove: () => void,
): void {
  switch (message.kind) {
    case 'serve':
      inBackground(service.serve(new ConnectionOrder(message.order)));
      return;
    case 'flush':
      inBackground(service.flush());
      return;
    case 'freeze':
      inBackground(service.freeze());
      return;
    case 'thaw':
      service.thaw();
      return;
    case 'mounts':
      service.replaceMounts(message.mounts);
      return;
    case 'exports':
      service.replaceExports(message.change, message.exports);
      return;
    case 'exportChanges':
      service.changeExports(message.change, message.changes);
      return;
    case 'lookForDirectories':
      inBackground(service.lookForDirectories(message.change));
      return;
    case 'removeDirectory':
      service.removeDirectory(message.id, message.volume, message.directory);
      return;
    case 'forgetRemoval':
      service.forgetRemoval(message.id, message.volume);
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
if (parentPort !== null) runVolumeThread(parentPort, workerData as ThreadSetup);
