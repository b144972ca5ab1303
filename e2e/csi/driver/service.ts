/** gRPC on a Unix socket: a service of a .proto file, with one handler a call. What a handler throws becomes the status. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** A request as proto-loader gives it: fields as in the .proto file, enums and 64-bit numbers as text. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is in the .proto file, which is read at run time
export type Request = any;
export type Handlers = Readonly<Record<string, (request: Request) => object | Promise<object>>>;

export interface Service {
  readonly proto: string;
  /** As in the file: `csi.v1`. */
  readonly package: string;
  readonly name: string;
  readonly handlers: Handlers;
}

export async function serve(socket: string, services: readonly Service[]): Promise<void> {
  const server = new Server();
  for (const service of services) server.addService(definitionOf(service), implementation(service));
  mkdirSync(dirname(socket), { recursive: true });
  rmSync(socket, { force: true });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
}

function definitionOf({ proto, package: packageName, name }: Service) {
  const loaded = loadPackageDefinition(loadSync(proto, { keepCase: true, enums: String, longs: String }));
  const inside = packageName.split('.').reduce((at, part) => at[part] as GrpcObject, loaded);
  return (inside[name] as ServiceClientConstructor).service;
}

function implementation({ name, handlers }: Service) {
  return Object.fromEntries(
    Object.entries(handlers).map(([call, handle]) => [
      call,
      ({ request }: { request: Request }, answer: (error: object | null, reply?: object) => void) => {
        const begun = performance.now();
        const told = (outcome: string) =>
          process.stdout.write(
            `${new Date().toISOString()} ${name}.${call} ${describe(request)}: ${outcome} (${Math.round(performance.now() - begun)} ms)\n`,
          );
        Promise.resolve()
          .then(() => handle(request))
          .then(
            (reply) => {
              // The sidecars and the kubelet ask for these all the time.
              if (!/Probe|Get(Plugin|.*Capabilities)/.test(call)) told('ok');
              answer(null, reply);
            },
            (error: { code?: unknown; message: string }) => {
              told(error.message);
              const code = typeof error.code === 'number' ? error.code : status.INTERNAL;
              answer({ code, message: error.message });
            },
          );
      },
    ]),
  );
}

const describe = (request: Request): string =>
  [request.volume_id ?? request.name, request.node_id].filter(Boolean).join(' ');
