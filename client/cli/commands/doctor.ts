/** filerpair doctor: what stands between this machine and a mount. */
import { type Command, CommandError } from '../command.ts';
import { nfsUrl } from '../session.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'show what stands between this machine and a mount',
  group: 'Servers',
  target: 'other',
  operands: [{ name: 'URL', optional: true }],
  async run([text], _flags, _common, world) {
    const { examine } = await import('../../mounting/doctor.ts');
    const findings = await examine(text === undefined ? null : nfsUrl(text));
    for (const { what, trouble, detail } of findings) {
      const found = detail === undefined ? what : `${what}: ${detail}`;
      world.stdout.line(trouble === null ? `ok       ${found}` : `TROUBLE  ${what}: ${trouble}`);
    }
    const count = findings.filter(({ trouble }) => trouble !== null).length;
    if (count > 0) throw new CommandError(`${count} of ${findings.length} things are in the way`);
  },
};
