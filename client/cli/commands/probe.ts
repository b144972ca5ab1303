/** filerpair probe: use an export without pause, and say how long each move of it kept a client waiting. */
import { randomBytes } from 'node:crypto';
import type { ConnectionEvent } from '../../connection-event.ts';
import type { Command } from '../command.ts';
import { numberOf } from '../common-options.ts';
import { ProbeClient } from '../probe/probe-client.ts';
import { type ProbeLine, probeText } from '../probe/probe-line.ts';
import { connect, nfsUrl } from '../session.ts';

const EVERY_MS = 5;

export const probe: Command = {
  name: 'probe',
  summary: 'use an export without pause, and say how long each move kept a client waiting',
  group: 'Servers',
  target: 'export',
  operands: [{ name: 'URL' }],
  details: [
    'It asks for the attributes of the root of the export, one question after the other, until it is stopped. Times are those of',
    'one client that waits for each reply. kubectl filerpair drill runs it as a pod.',
  ],
  options: {
    write: {
      help: 'write numbered lines to a file .filerpair-probe-..., read them back at the end, remove the file',
    },
    every: { value: 'MS', help: `between a reply and the next question (default ${EVERY_MS})` },
    'round-trip': { help: 'end when the export was served at the other port and is at the first one again' },
    json: { help: 'a line of JSON for each event' },
  },
  runsOn: true,
  async run([text], flags, common, world) {
    const { server } = nfsUrl(text!);
    const tell = (line: ProbeLine): void => {
      const said = flags['json'] === true ? null : probeText(server, line);
      if (flags['json'] === true) world.stdout.line(JSON.stringify(line));
      else if (said !== null) world.stdout.line(`${new Date(line.atMs).toISOString().slice(11, 23)} ${said}`);
    };
    const heard: { probe?: ProbeClient } = {};
    const onEvent = (event: ConnectionEvent): void => heard.probe?.onEvent(event);
    const client = await connect(text!, { ...common, verbose: false }, world, onEvent);
    try {
      const { subPath } = client;
      const name = `.filerpair-probe-${randomBytes(6).toString('hex')}`;
      heard.probe = new ProbeClient(client, {
        everyMs: numberOf('every', flags) ?? EVERY_MS,
        writeTo: flags['write'] === true ? (subPath === '' ? name : `${subPath}/${name}`) : null,
        roundTrip: flags['round-trip'] === true,
        stop: world.stop,
        tell,
      });
      await heard.probe.run();
    } finally {
      client.destroy();
    }
  },
};
