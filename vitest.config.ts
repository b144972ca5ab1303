import { defineConfig } from 'vitest/config';

// Unit and component tests: everything that needs neither Docker nor a cluster. e2e/ has a config of its own.
export default defineConfig({
  test: {
    // Most of them wait for leases, processes and disks rather than for a processor.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // What is waited for comes at once, or on a busy machine some seconds later.
    expect: { poll: { timeout: 20_000 } },
    projects: [
      {
        // Nothing in them outlives a test: their files share processes, which spares loading everything for each.
        extends: true,
        test: {
          name: 'deciding',
          include: ['{protocol,pair,kubernetes,crds,operator}/**/*.test.ts'],
          isolate: false,
        },
      },
      {
        // A file may change its process: identity, umask, signals.
        extends: true,
        test: {
          name: 'working',
          include: [
            '{native,fileserver,client,simulation,mutants,demo,testing,bench,fuzzing,scripts}/**/*.test.ts',
          ],
        },
      },
    ],
  },
});
