import { expect, test } from 'vitest';
import { ProxyFigures } from './proxy-figures.ts';

test('says how long calls of clients wait, in classes that reach two minutes, and what is waited for now', () => {
  const figures = new ProxyFigures();
  for (const ms of [0.2, 40, 90_000, 300_000]) figures.answered(ms);
  figures.lost();
  figures.adopted('secondary');
  const lines = figures.text('nas-a', { connectionCount: 2, pendingSinceMs: 1000 }, 4000).split('\n');
  for (const line of [
    'filerpair_client_call_seconds_bucket{server="nas-a",le="0.00025"} 1',
    'filerpair_client_call_seconds_bucket{server="nas-a",le="0.05"} 2',
    'filerpair_client_call_seconds_bucket{server="nas-a",le="120"} 3',
    'filerpair_client_call_seconds_bucket{server="nas-a",le="+Inf"} 4',
    'filerpair_client_call_seconds_count{server="nas-a"} 4',
    'filerpair_client_waiting_seconds{server="nas-a"} 3',
    'filerpair_client_connections{server="nas-a"} 2',
    'filerpair_client_losses_total{server="nas-a"} 1',
    'filerpair_client_adoptions_total{server="nas-a",port="primary"} 0',
    'filerpair_client_adoptions_total{server="nas-a",port="secondary"} 1',
  ])
    expect(lines).toContain(line);
});
