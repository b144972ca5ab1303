/** The pair as a picture: two servers, two disk sets, which server serves which, by which connection. SVG. Pure. */
import { escaped } from './html.ts';
import type { ConsoleState, ShownDiskSet, ShownServer } from './state.ts';

//   +-- server --+               +-- server --+
//   |  serves a  | = interconn = |  serves b  |
//   +-----+------+               +-----+------+
//         |                            |
//      ( disks of a )             ( disks of b )
//
// Elements keep their ids, so that the page moves what has moved instead of drawing it anew.

const [WIDTH, HEIGHT] = [960, 400];
const BOX = { width: 340, height: 190, top: 20 };
const LEFT = [30, 590] as const;
const DISK_TOP = 310;

const centre = (place: number): number => LEFT[place]! + BOX.width / 2;

export function picture(state: ConsoleState): string {
  const { servers, diskSets, interconnect } = state;
  const place = (name: string): number => servers.findIndex((server) => server.name === name);
  return [
    `<svg class="pair" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="picture-title picture-text">`,
    '<title id="picture-title">The pair</title>',
    `<desc id="picture-text">${escaped(inWords(state))}</desc>`,
    ...servers.map((server, at) => serverBox(server, at)),
    link(interconnect),
    ...diskSets.map((set) => path(set, place(set.home), set.owner === null ? -1 : place(set.owner))),
    ...diskSets.map((set) => disks(set, place(set.home))),
    ...diskSets.map((set) => chip(set, place(set.home), set.owner === null ? -1 : place(set.owner))),
    '</svg>',
  ].join('\n');
}

/** Content of the picture as text, for those who do not see it. */
export function inWords({ servers, diskSets, interconnect }: ConsoleState): string {
  const up = servers.map(({ name, up, detail }) =>
    up === true
      ? `Server ${name} runs.`
      : `Server ${name} ${up === false ? 'does not run' : 'is not known'}: ${detail}.`,
  );
  const served = diskSets.map(({ home, owner, served: serves, state }) =>
    owner === null
      ? `No server owns the disk set of ${home} (${state}).`
      : `${owner} ${serves ? 'serves' : 'owns, and does not serve yet,'} the disk set of ${home}${owner === home ? '' : ', its partner’s'}.`,
  );
  const heard =
    interconnect === null ? [] : [`The servers ${interconnect ? 'hear' : 'do not hear'} each other.`];
  return [...up, ...served, ...heard].join(' ');
}

function serverBox({ name, up, detail, node }: ShownServer, at: number): string {
  const x = LEFT[at]!;
  const style = up === true ? 'up' : up === false ? 'down' : 'unknown';
  return [
    `<g id="server-${at}" class="server ${style}">`,
    `<rect x="${x}" y="${BOX.top}" width="${BOX.width}" height="${BOX.height}" rx="10"/>`,
    `<text class="name" x="${x + 16}" y="${BOX.top + 30}">${escaped(name)}</text>`,
    `<text class="quiet" x="${x + 16}" y="${BOX.top + 50}">${escaped(shortened(node === null ? detail : `${detail}, node ${node}`, 46))}</text>`,
    '</g>',
  ].join('');
}

function link(interconnect: boolean | null): string {
  const y = BOX.top + BOX.height / 2;
  const style = interconnect === true ? 'up' : interconnect === false ? 'down' : 'unknown';
  const said =
    interconnect === true ? 'interconnect' : interconnect === false ? 'not connected' : 'interconnect ?';
  return `<g id="link" class="link ${style}"><line x1="${LEFT[0] + BOX.width}" y1="${y}" x2="${LEFT[1]}" y2="${y}"/><text class="quiet middle" x="${WIDTH / 2}" y="${y - 8}">${said}</text></g>`;
}

function disks({ home, volumes }: ShownDiskSet, at: number): string {
  const x = centre(at) - 90;
  const named = volumes.length === 0 ? '' : `: ${volumes.map(({ name }) => name).join(', ')}`;
  return [
    `<g id="disks-${at}" class="disks">`,
    `<path d="M${x} ${DISK_TOP + 12}v44a90 12 0 0 0 180 0v-44"/>`,
    `<ellipse cx="${x + 90}" cy="${DISK_TOP + 12}" rx="90" ry="12"/>`,
    `<text class="middle" x="${x + 90}" y="${DISK_TOP + 46}">${escaped(shortened(`disks of ${home}${named}`, 30))}</text>`,
    '</g>',
  ].join('');
}

function path({ served }: ShownDiskSet, home: number, owner: number): string {
  if (owner < 0) return `<g id="path-${home}" class="path none"></g>`;
  const from = centre(owner) + (owner === home ? 0 : home < owner ? -60 : 60);
  return `<g id="path-${home}" class="path ${served ? 'up' : 'waits'}"><line x1="${from}" y1="${BOX.top + BOX.height}" x2="${centre(home)}" y2="${DISK_TOP}"/></g>`;
}

/** The disk set at its owner; without one it waits between the servers. */
function chip(
  { home, owner, served, state, sessions, epoch }: ShownDiskSet,
  at: number,
  ownedBy: number,
): string {
  const [x, y] =
    ownedBy < 0
      ? [WIDTH / 2 - 150, 224 + at * 8]
      : [LEFT[ownedBy]! + 16, BOX.top + 66 + (ownedBy === at ? 0 : 60)];
  const port = owner === home ? 'primary port' : 'secondary port';
  const clients = sessions === null ? '' : `, ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`;
  const said = owner === null ? state : served ? `${port}${clients}` : state;
  return [
    `<g id="chip-${at}" class="chip ${served ? 'up' : 'waits'}" style="transform: translate(${x}px, ${y}px)">`,
    '<rect width="308" height="52" rx="8"/>',
    `<text class="name" x="12" y="22">${escaped(home)}${owner !== null && owner !== home ? ' (failed over)' : ''}</text>`,
    `<text class="quiet" x="12" y="41">${escaped(shortened(`${said}, epoch ${epoch}`, 42))}</text>`,
    '</g>',
  ].join('');
}

const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;
