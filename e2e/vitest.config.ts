/** Tests that need more than Node. Each project is run by a command of e2e/main.ts, which prepares the machine for it. */
import { defineConfig } from 'vitest/config';
import type { Way } from './linux/kernel-mount.ts';

// One file alone: npx vitest run --config e2e/vitest.config.ts process-killed
export default defineConfig({
  test: {
    // One at a time: they measure gaps of milliseconds, and there may be only two cores.
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 10 * 60_000,
    hookTimeout: 5 * 60_000,
    // The reaper is an image of its own that is not to be had everywhere; every test removes what it starts.
    env: { TESTCONTAINERS_RYUK_DISABLED: 'true' },
    projects: [
      { extends: true, test: { name: 'cluster', include: ['e2e/{component,scenarios}/**/*.test.ts'] } },
      { extends: true, test: { name: 'failures', include: ['e2e/failures/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'reattach',
          include: ['e2e/reattach/**/*.test.ts'],
          provide: { apiAwaySeconds: Number(process.env['API_AWAY_SECONDS'] || 600) },
        },
      },
      { extends: true, test: { name: 'shares', include: ['e2e/shares/**/*.test.ts'] } },
      { extends: true, test: { name: 'admission', include: ['e2e/admission/**/*.test.ts'] } },
      { extends: true, test: { name: 'install', include: ['e2e/install/**/*.test.ts'] } },
      { extends: true, test: { name: 'console', include: ['e2e/console/**/*.test.ts'] } },
      { extends: true, test: { name: 'monitoring', include: ['e2e/monitoring/**/*.test.ts'] } },
      { extends: true, test: { name: 'names', include: ['e2e/names/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'clients',
          include: ['e2e/{linux,libnfs}/**/*.test.ts', 'e2e/conformance/{posix,outcome}.test.ts'],
          // Part of `make kernel-path`.
          exclude: ['e2e/linux/systemd-unit.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'kernel-path',
          include: ['e2e/linux/{kernel-mount,kernel-path,systemd-unit}.test.ts'],
          provide: {
            kernelPathFaults: Number(process.env['FAULTS'] || 200),
            kernelMountWay: (process.env['WAY'] ?? 'kernel') as Way,
          },
        },
      },
      { extends: true, test: { name: 'disk', include: ['e2e/disk/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['e2e/conformance/{posix,interoperability,fsx,build}.test.ts'],
          provide: { patterns: [], whole: true },
        },
      },
      // The long versions of tests that `make unit` runs for some seconds.
      {
        extends: true,
        test: {
          name: 'long',
          include: ['fileserver/data-path/{differential,hostile,large-directory}.test.ts'],
          provide: {
            from: 1000,
            seeds: 40,
            hostileCalls: 1_000_000,
            keepCorpus: true,
            directoryEntries: 1_000_000,
          },
        },
      },
      // As long as SECONDS says.
      {
        extends: true,
        test: {
          name: 'hostile',
          include: ['fileserver/agent/hostile-sizes.test.ts'],
          provide: { hostileSeconds: Number(process.env['SECONDS'] || 3600) },
        },
      },
      { extends: true, test: { name: 'harness', include: ['e2e/{machine,harness}/**/*.test.ts'] } },
    ],
  },
});
