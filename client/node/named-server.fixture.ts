/** A process of tests: a server of NULL that says its name and from where it was reached. Arguments: NAME ADDRESS PORT. */
import { nullServer } from './null-server.fixture.ts';

const [name = '', address = '', port = ''] = process.argv.slice(2);
await nullServer(
  ({ remoteAddress, remotePort }) => `${name} ${remoteAddress}:${remotePort}`,
  address,
  Number(port),
);
process.send?.('listens');
