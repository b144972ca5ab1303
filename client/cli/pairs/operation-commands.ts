/**
 * kubectl filerpair takeover, giveback, snapshot, recreate-claim: each makes a FilerPairOperation and waits for its end. What it
 * says is about one epoch of a disk set, so that an object that is made again later does nothing.
 */
import { type Command, CommandError, type Options, UsageError } from '../command.ts';
import { inCluster, PAIR, pairMeant, SERVER, type ServerMeant, serverMeant } from './cluster.ts';
import { given, operate, recordOf } from './operation.ts';

/** With --force: where the disk set has no owner. */
const NO_OWNER = 'none';

const OPTIONS: Options = {
  reason: { value: 'TEXT', help: 'why, for the record' },
  'no-wait': { help: 'print the name of the FilerPairOperation and do not wait for its end' },
};

const move = (type: 'Takeover' | 'Giveback', summary: string, details: readonly string[]): Command => {
  const name = type.toLowerCase() as 'takeover' | 'giveback';
  return {
    name,
    summary,
    group: 'Operations',
    target: 'cluster',
    operands: [SERVER, PAIR],
    details,
    options: {
      ...OPTIONS,
      force: {
        value: 'INCARNATION',
        help:
          'without proof that the owner is dead: this incarnation, as the FilerDiskSet names it (none: it has no ' +
          'owner). Switch its machine off first: if it is alive, two servers write. Needs --reason, and the ' +
          'permission for the verb force on filerpairs',
      },
    },
    dryRun: true,
    run: ([server = '', which], flags, common, world) =>
      inCluster(flags, common, world, async (cluster) => {
        const meant = await serverMeant(cluster, server, which);
        const { epoch, holder } = (await recordOf(cluster, meant)).status!;
        const { force } = flags;
        if (force !== undefined && force !== (holder ?? NO_OWNER))
          throw notTheOwner(meant, holder ?? NO_OWNER);
        if (force !== undefined && given(flags, 'reason') === undefined)
          throw new UsageError('--force needs --reason: the record says who declared a server dead, and why');
        const pair = meant.pair.metadata.name ?? '';
        const asked = {
          server: meant.server,
          ifEpoch: epoch,
          ...(force === undefined ? {} : { force: holder === undefined ? {} : { deadIncarnation: holder } }),
        };
        const said = await operate(
          cluster,
          { generateName: `${pair}-${name}-${meant.server}-` },
          { pairRef: { name: pair }, type, [name]: asked },
          flags,
          common,
        );
        world.stdout.line(said);
      }),
  };
};

const notTheOwner = ({ pair, server }: ServerMeant, owner: string): CommandError =>
  new CommandError(
    owner === NO_OWNER
      ? `nobody owns the disk set of ${server} of ${pair.metadata.name}: no incarnation has to be declared dead, say --force ${NO_OWNER}`
      : `the disk set of ${server} of ${pair.metadata.name} is owned by ${owner}: switch its machine off, then declare that one dead with --force ${owner}`,
  );

export const takeover = move('Takeover', 'have the disk set of a server served by its partner', [
  'The server finishes what runs, its partner takes over, clients follow. The disk set goes back as spec.giveback says; to',
  'take a server out of service for longer: kubectl filerpair drain.',
]);

export const giveback = move('Giveback', 'give the disk set of a server back to it', [
  'Asked when the server runs again.',
]);

export const snapshot: Command = {
  name: 'snapshot',
  summary: 'VolumeSnapshots of all volumes of both disk sets at one point in time',
  group: 'Operations',
  target: 'cluster',
  operands: [{ name: 'NAME', help: 'that of the FilerPairOperation' }, PAIR],
  details: ['Clients wait for a moment, 10 s at most; nothing is stopped.'],
  options: {
    ...OPTIONS,
    class: {
      value: 'NAME',
      help: 'VolumeSnapshotClass (default: the default one of the driver of the volumes)',
    },
  },
  dryRun: true,
  run: ([name = '', which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const pair = await pairMeant(cluster, which);
      const volumeSnapshotClassName = given(flags, 'class');
      const said = await operate(
        cluster,
        { name },
        {
          pairRef: { name: pair.metadata.name ?? '' },
          type: 'Snapshot',
          ...(volumeSnapshotClassName === undefined ? {} : { snapshot: { volumeSnapshotClassName } }),
        },
        flags,
        common,
      );
      world.stdout.line(said);
    }),
};

export const recreateClaim: Command = {
  name: 'recreate-claim',
  summary: 'an empty claim in the place of one that is lost: its data are given up',
  group: 'Operations',
  target: 'cluster',
  operands: [SERVER, { name: 'VOLUME' }, PAIR],
  details: [
    'A claim that was bound once is never made anew by itself. To restore the data instead, create the claim from the backup.',
  ],
  options: {
    ...OPTIONS,
    lost: {
      value: 'UID',
      help: 'of the claim that is lost, as the FilerDiskSet names it: the consent holds for this one loss',
    },
  },
  dryRun: true,
  run: ([server = '', volume = '', which], flags, common, world) =>
    inCluster(flags, common, world, async (cluster) => {
      const meant = await serverMeant(cluster, server, which);
      const pair = meant.pair.metadata.name ?? '';
      const record = await recordOf(cluster, meant);
      const claim = record.spec.claims?.find((one) => one.volume === volume);
      if (claim === undefined)
        throw new CommandError(
          `the disk set of ${meant.server} of ${pair} never had a claim for a volume ${volume}`,
        );
      if (flags['lost'] !== claim.uid)
        throw new CommandError(
          `claim ${claim.name} had the data of volume ${volume} of ${meant.server}. To give them up: --lost ${claim.uid}`,
        );
      const said = await operate(
        cluster,
        { generateName: `${pair}-recreate-${meant.server}-${volume}-` },
        {
          pairRef: { name: pair },
          type: 'RecreateClaim',
          recreateClaim: { server: meant.server, volume, lostClaimUID: claim.uid },
        },
        flags,
        common,
      );
      world.stdout.line(said);
    }),
};
