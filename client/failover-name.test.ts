import { describe, expect, it } from 'vitest';
import { endpointsOf, failoverName, isAddress } from './failover-name.ts';
import { formatAddress } from './transport-address.ts';

describe('failover name', () => {
  it('appends the suffix to a bare name', () => {
    expect(failoverName('filer-a')).toEqual({ kind: 'Name', name: 'filer-a-failover' });
    expect(failoverName('filer-a', '-alt')).toEqual({ kind: 'Name', name: 'filer-a-alt' });
  });

  it('appends the suffix to the first label of a qualified name, so that the domain stays the same', () => {
    expect(failoverName('filer-a.nas.example.org')).toEqual({
      kind: 'Name',
      name: 'filer-a-failover.nas.example.org',
    });
    expect(failoverName('filer-a.storage.svc.cluster.local.')).toEqual({
      kind: 'Name',
      name: 'filer-a-failover.storage.svc.cluster.local.',
    });
  });

  it('refuses to compute a name from an address', () => {
    for (const address of ['127.0.0.1', '10.1', '::1', 'fe80::1%eth0', '0x7f.1']) {
      expect(isAddress(address), address).toBe(true);
      expect(failoverName(address)).toEqual({ kind: 'IsAddress' });
    }
    for (const name of ['filer-1', '1.example', 'ten.0.0.one', '3com'])
      expect(isAddress(name), name).toBe(false);
  });

  it('refuses a name that DNS could not hold', () => {
    const longest = 'a'.repeat(63 - '-failover'.length);
    expect(failoverName(longest).kind).toBe('Name');
    expect(failoverName(`${longest}a`).kind).toBe('TooLong');
    const domain = `.${'b'.repeat(60)}`.repeat(4);
    expect(failoverName(`a${domain}`).kind).toBe('TooLong');
  });
});

describe('endpoints of a server', () => {
  const shown = (...given: Parameters<typeof endpointsOf>) => {
    const { primary, secondary } = endpointsOf(...given);
    return [formatAddress(primary), secondary && formatAddress(secondary)];
  };

  it('are the name at the primary port and the failover name at the secondary port', () => {
    expect(shown({ server: 'filer-a' })).toEqual(['filer-a:2049', 'filer-a-failover:2050']);
    expect(shown({ server: 'filer-a', primaryPort: 3049, secondaryPort: 3050, suffix: '-x' })).toEqual([
      'filer-a:3049',
      'filer-a-x:3050',
    ]);
  });

  it('take an explicit failover host, as two servers on one machine need it', () => {
    expect(
      shown({ server: '127.0.0.1', primaryPort: 4001, secondaryPort: 4004, failoverHost: '::1' }),
    ).toEqual(['127.0.0.1:4001', '[::1]:4004']);
  });

  it('of an address alone have no second way, and never the same address: it serves the partner there', () => {
    expect(shown({ server: '10.0.0.5' })).toEqual(['10.0.0.5:2049', null]);
    expect(() => shown({ server: '10.0.0.5', secondaryPort: 2050 })).toThrow(/failover=HOST/);
  });

  it('of a server without a partner have no second way', () => {
    expect(shown({ server: 'nas', alone: true })).toEqual(['nas:2049', null]);
  });
});
