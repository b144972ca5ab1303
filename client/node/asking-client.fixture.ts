/**
 * A process of tests that asks a server again and again who it is. It connects as the Linux kernel's NFS client does: from one source
 * port, again at once after a reset, and three seconds after a refusal. Each new answer, and each failure, is a message to its parent.
 * Arguments: ADDRESS LOCAL-PORT.
 */
import { connect } from 'node:net';

const [address = '', localPort = ''] = process.argv.slice(2);
const REFUSED_MS = 3000;
const RECONNECT_MS = 2;
const ASK_MS = 5;
let said = '';

function say(what: string): void {
  if (what !== said) process.send?.(what);
  said = what;
}

function dial(): void {
  const socket = connect({ host: address, port: 2049, localPort: Number(localPort), noDelay: true });
  let failure = '';
  let opened = false;
  const ask = () => socket.write('who');
  socket.on('connect', () => {
    opened = true;
    ask();
  });
  socket.on('data', (chunk) => {
    say(chunk.toString('latin1'));
    setTimeout(ask, ASK_MS);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failure = error.code ?? '';
  });
  socket.on('close', () => {
    if (!opened) say(failure);
    setTimeout(dial, !opened && failure === 'ECONNREFUSED' ? REFUSED_MS : RECONNECT_MS);
  });
}
dial();
