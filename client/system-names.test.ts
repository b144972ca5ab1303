import { describe, expect, it } from 'vitest';
import { pause } from '../testing/pause.ts';
import { inHosts, SystemNames, searched } from './system-names.ts';

const never = new Promise<never>(() => {});
const nothing = async () => [];

describe('a name', () => {
  it('is asked of getaddrinfo once at a time, however many want to know', async () => {
    const asked: string[] = [];
    const names = new SystemNames({
      getaddrinfo: async (name) => {
        asked.push(name);
        await pause(20, 'a name service takes its time');
        return ['10.0.0.1'];
      },
      beside: nothing,
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => names.lookup('filer-a')));
    expect(new Set(answers.flat())).toEqual(new Set(['10.0.0.1']));
    expect(asked).toEqual(['filer-a']);
    await names.lookup('filer-a');
    expect(asked).toEqual(['filer-a', 'filer-a']);
  });

  it('for which getaddrinfo hangs is found beside it, as soon as it is there', async () => {
    let there = false;
    let asked = 0;
    const names = new SystemNames({
      getaddrinfo: () => {
        asked += 1;
        return never;
      },
      beside: async () => {
        if (!there) throw new Error('ETIMEOUT');
        return ['10.0.0.2'];
      },
    });
    const found = names.lookup('filer-a-failover');
    await pause(400, 'the name is absent for a while');
    there = true;
    expect(await found).toEqual(['10.0.0.2']);
    // The thread that still waits is the only one.
    expect(await names.lookup('filer-a-failover')).toEqual(['10.0.0.2']);
    expect(asked).toBe(1);
  });

  it('that does not exist is said not to, with the error of getaddrinfo', async () => {
    const names = new SystemNames({
      getaddrinfo: async () => {
        await pause(300, 'a name service takes its time');
        throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      },
      beside: nothing,
    });
    await expect(names.lookup('typo')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });
});

it('hosts(5): every address of a name, whatever its case', () => {
  const text =
    '# 1.1.1.1 filer-a\n10.0.0.1 Filer-A filer-a.example # filer-b\nfe80::1 filer-a\nbad filer-a\n';
  expect(inHosts(text, 'filer-a')).toEqual(['10.0.0.1', 'fe80::1']);
  expect(inHosts(text, 'filer-b')).toEqual([]);
});

it('resolv.conf(5): a short name is looked for below the search domains first', () => {
  const conf = 'nameserver 10.0.0.9\nsearch nas.svc.cluster.local cluster.local\noptions ndots:2\n';
  expect(searched(conf, 'filer-a')).toEqual([
    'filer-a.nas.svc.cluster.local',
    'filer-a.cluster.local',
    'filer-a',
  ]);
  expect(searched(conf, 'filer-a.nas.example')[0]).toBe('filer-a.nas.example');
  expect(searched(conf, 'filer-a.')).toEqual(['filer-a']);
});
