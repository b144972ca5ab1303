import { expect, it } from 'vitest';
import { parseConfig } from '../config/config.ts';
import {
  CallMeter,
  DataFigures,
  lineOf,
  metricsSize,
  publishLabels,
  VolumeMeter,
} from '../metrics/data-metrics.ts';
import { Metrics } from '../metrics/metrics.ts';
import { exportIdOf } from '../storage/handles/file-handle.ts';
import { dataPathMetrics } from './data-path-metrics.ts';

const diskSet = { volumes: [{ name: 'data', path: '/data' }], exports: [{ path: '/home', volume: 'data' }] };
const config = parseConfig(
  JSON.stringify({
    pair: 'home',
    server: 'filer-a',
    partner: 'filer-b',
    partnerAddress: { host: '127.0.0.1' },
    runDir: '/run/filerpair',
    tls: { directory: '/nowhere', name: 'filer-a', partnerName: 'filer-b' },
    witness: { kind: 'embedded', directory: '/witness' },
    diskSets: { 'filer-a': diskSet, 'filer-b': diskSet },
  }),
  'test',
);

it('adds up what the threads have counted, for each disk set', async () => {
  const counts = { connections: 2, own: 1, partner: 1 };
  const buffer = new SharedArrayBuffer(metricsSize(counts));
  const read = lineOf('READ');
  publishLabels(buffer);
  const home = exportIdOf('/home');
  for (const thread of [0, 1]) {
    const meter = new CallMeter(buffer, thread, 0);
    meter.called(read, 0, 0.2);
    meter.called(read, 70, 3);
    meter.exported(home, 4096, 0);
    meter.connections(10);
  }
  new CallMeter(buffer, 1, 1).called(read, 0, 7000);
  const served = new VolumeMeter(buffer, 2, 1, 0);
  served.journal(12_345, 3, 1500, 1);
  served.capacity(1000, 400, 50, 20);
  const metrics = new Metrics();
  dataPathMetrics(
    metrics,
    config,
    (name) => config.diskSets[name]!.exports as never,
    new DataFigures(buffer, counts),
  );
  const lines = (await metrics.format()).split('\n');
  for (const line of [
    'filerpair_nfs_calls_total{disk_set="filer-a",procedure="READ",result="OK"} 2',
    'filerpair_nfs_calls_total{disk_set="filer-a",procedure="READ",result="STALE"} 2',
    'filerpair_nfs_calls_total{disk_set="filer-b",procedure="READ",result="OK"} 1',
    'filerpair_nfs_call_seconds_bucket{disk_set="filer-a",procedure="READ",le="0.0001"} 0',
    'filerpair_nfs_call_seconds_bucket{disk_set="filer-a",procedure="READ",le="0.00025"} 2',
    'filerpair_nfs_call_seconds_bucket{disk_set="filer-a",procedure="READ",le="0.005"} 4',
    'filerpair_nfs_call_seconds_bucket{disk_set="filer-b",procedure="READ",le="5"} 0',
    'filerpair_nfs_call_seconds_bucket{disk_set="filer-b",procedure="READ",le="+Inf"} 1',
    'filerpair_nfs_call_seconds_sum{disk_set="filer-a",procedure="READ"} 0.0064',
    'filerpair_nfs_call_seconds_count{disk_set="filer-a",procedure="READ"} 4',
    'filerpair_nfs_connections{disk_set="filer-a"} 20',
    'filerpair_export_calls_total{disk_set="filer-a",volume="data",export="/home"} 2',
    'filerpair_export_bytes_total{disk_set="filer-a",volume="data",export="/home",direction="read"} 8192',
    'filerpair_journal_bytes{disk_set="filer-b",volume="data"} 12345',
    'filerpair_flush_seconds_total{disk_set="filer-b",volume="data"} 1.5',
    'filerpair_volume_size_bytes{disk_set="filer-b",volume="data"} 1000',
    'filerpair_volume_available_bytes{disk_set="filer-b",volume="data"} 400',
    'filerpair_volume_files{disk_set="filer-b",volume="data"} 50',
    'filerpair_volume_files_free{disk_set="filer-b",volume="data"} 20',
  ]) {
    expect(lines).toContain(line);
  }
  // Its partner serves the other one, and says how full that is.
  expect(lines.filter((line) => /^filerpair_volume_.*"filer-a"/.test(line))).toEqual([]);
});
