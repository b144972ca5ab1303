/** The metrics of the data path, by name. Its threads count in shared memory (metrics/data-metrics.ts); here it is read. */
import type { Config } from '../config/config.ts';
import {
  type DataFigures,
  EXPORTS_MAX,
  type ExportFigures,
  RESULTS,
  SECONDS,
  slotNumber,
  type VolumeFigures,
} from '../metrics/data-metrics.ts';
import type { Labels, Metrics } from '../metrics/metrics.ts';
import type { ExportSpec } from '../settings/export-spec.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';

type Sample = readonly [labels: Labels, value: number | null];

/** `exportsOf`: the exports of a disk set as they are now. */
export function dataPathMetrics(
  metrics: Metrics,
  config: Config,
  exportsOf: (home: string) => readonly ExportSpec[],
  figures: DataFigures,
): void {
  const homes = [
    { home: config.server, slot: slotNumber('local') },
    { home: config.partner, slot: slotNumber('partner') },
  ];

  metrics.counted(
    'filerpair_nfs_calls_total',
    'Calls answered. Labels: disk_set, procedure, result (of nfsstat3; refused: no procedure has seen it; internal: SYSTEM_ERR, a fault of the server).',
    function* (): Iterable<Sample> {
      for (const { home, slot } of homes) {
        for (const [number, procedure] of figures.procedures.entries()) {
          for (const [index, result] of RESULTS.entries()) {
            const count = figures.calls(slot, number, index);
            // OK exists from the beginning; what never happened need not.
            if (count > 0 || index === 0) yield [{ disk_set: home, procedure, result }, count];
          }
        }
      }
    },
  );
  metrics.distribution(
    'filerpair_nfs_call_seconds',
    'From the arrival of a call to the handing over of its reply. Labels: disk_set, procedure.',
    SECONDS,
    function* () {
      for (const { home, slot } of homes) {
        for (const [number, procedure] of figures.procedures.entries()) {
          const { counts, ms } = figures.times(slot, number);
          if (counts.some((count) => count > 0)) {
            yield [{ disk_set: home, procedure }, counts, ms / 1000] as const;
          }
        }
      }
    },
  );
  metrics.gauge('filerpair_nfs_connections', 'Connections of clients. Label: disk_set.', () =>
    homes.map(({ home, slot }): Sample => [{ disk_set: home }, figures.connections(slot)]),
  );
  exportMetrics(metrics, exportsOf, figures, homes);
  volumeMetrics(metrics, config, figures, homes);
}

interface Home {
  readonly home: string;
  readonly slot: 0 | 1;
}

function exportMetrics(
  metrics: Metrics,
  exportsOf: (home: string) => readonly ExportSpec[],
  figures: DataFigures,
  homes: readonly Home[],
): void {
  const each = function* (
    value: (figure: ExportFigures) => readonly (readonly [Labels, number])[],
  ): Iterable<Sample> {
    for (const { home, slot } of homes) {
      const exports = exportsOf(home);
      for (const { path, volume } of exports) {
        const figure = figures.exported(slot, exportIdOf(path));
        // No more than so many are counted.
        if (exports.length > EXPORTS_MAX && figure.calls === 0) continue;
        for (const [labels, count] of value(figure)) {
          yield [{ disk_set: home, volume, export: path, ...labels }, count];
        }
      }
    }
  };
  metrics.counted(
    'filerpair_export_calls_total',
    'Calls with a handle of the export. Labels: disk_set, volume, export.',
    () => each(({ calls }) => [[{}, calls]]),
  );
  metrics.counted(
    'filerpair_export_bytes_total',
    'Bytes of files, as READ returned and WRITE took them. Labels: disk_set, volume, export, direction (read, write).',
    () =>
      each(({ bytesRead, bytesWritten }) => [
        [{ direction: 'read' }, bytesRead],
        [{ direction: 'write' }, bytesWritten],
      ]),
  );
}

/** A volume of which nothing is known has no such figures. */
const known = ({ size }: VolumeFigures, value: number): number | null => (size > 0 ? value : null);

function volumeMetrics(metrics: Metrics, config: Config, figures: DataFigures, homes: readonly Home[]): void {
  const each = function* (value: (figure: VolumeFigures) => number | null): Iterable<Sample> {
    for (const { home, slot } of homes) {
      for (const [index, { name }] of config.diskSets[home]!.volumes.entries()) {
        const figure = figures.volumeAt(slot, index);
        if (figure !== null) yield [{ disk_set: home, volume: name }, value(figure)];
      }
    }
  };
  const labels = 'Labels: disk_set, volume.';
  metrics.gauge('filerpair_journal_bytes', `Bytes in use of the journal's segment. ${labels}`, () =>
    each(({ journalSize }) => journalSize),
  );
  metrics.counted(
    'filerpair_journal_compactions_total',
    `How often the journal began a new segment. ${labels}`,
    () => each(({ compactions }) => compactions),
  );
  const capacity = (name: string, help: string, value: (figure: VolumeFigures) => number): void =>
    metrics.gauge(`filerpair_volume_${name}`, `${help}, of volumes that this server serves. ${labels}`, () =>
      each((figure) => known(figure, value(figure))),
    );
  capacity('size_bytes', 'Size of the file system', ({ size }) => size);
  capacity('available_bytes', 'What users may still write', ({ available }) => available);
  capacity('files', 'Inodes of the file system', ({ files }) => files);
  capacity('files_free', 'Inodes that are free', ({ filesFree }) => filesFree);
  metrics.counted('filerpair_flushes_total', `Flushes of files, directories and the journal. ${labels}`, () =>
    each(({ flushCount }) => flushCount),
  );
  metrics.counted(
    'filerpair_flush_seconds_total',
    `What the flushes took together; they run side by side. ${labels}`,
    () => each(({ flushMs }) => flushMs / 1000),
  );
}
