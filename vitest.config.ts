import { defineConfig } from 'vitest/config';

// Unit and component tests: everything that needs neither Docker nor a cluster. e2e/ has a config of its own.
export default defineConfig({
  test: {
    include: [
      '{protocol,pair,kubernetes,crds,fileserver,client,operator,simulation,demo,loopback,bench}/**/*.test.ts',
    ],
    // Most of them wait for leases, processes and disks rather than for a processor.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
