/** An error of the Kubernetes API as one sentence: who refuses what, or who does not answer, and what to do. */
import type { ApiError } from '../../../kubernetes/api-error.ts';
import { CommandError, NotInTime } from '../command.ts';
import type { Kubeconfig } from './kubeconfig.ts';

type Place = Pick<Kubeconfig, 'server' | 'context'>;

const CERTIFICATE = /CERT|UNABLE_TO|SELF_SIGNED|ERR_TLS|ERR_SSL|EPROTO/;

export function apiSentence(error: ApiError, { server, context }: Place): CommandError {
  const where = `the API server ${server} (context ${context})`;
  switch (error.reason) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new CommandError(
        `${where} does not answer (${error.reason}): is the cluster running, and is this the context that is meant?`,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CommandError(`${where} can't be found: its name does not resolve (${error.reason})`);
    case 'Timeout':
    case 'ETIMEDOUT':
      return new NotInTime(`${where} has not answered in time: ${lastPart(error.message)}`);
    case 'NoCredentials':
      return new CommandError(`no credentials for ${where}: ${lastPart(error.message)}`);
  }
  if (CERTIFICATE.test(error.reason))
    return new CommandError(
      `${where} can't be trusted: ${lastPart(error.message)} (${error.reason}); check certificate-authority in the kubeconfig`,
    );
  return answered(error, where);
}

function answered(error: ApiError, where: string): CommandError {
  if (error.status === 401)
    return new CommandError(`${where} does not accept the credentials of the kubeconfig: log in again`);
  if (error.status === 403) {
    // `GET /apis/...: 403 filerpairs.filerpair.dev is forbidden: User "eve" cannot list resource ... in the namespace "x"`
    const denied =
      /User "([^"]*)" cannot (\w+) resource "([^"]*)"[^:]*?(?: in the namespace "([^"]*)")?(?:$|:| at )/.exec(
        error.message,
      );
    if (denied === null) return new CommandError(`not permitted: ${withoutRequest(error.message)}`);
    const [, user, verb, resource, namespace] = denied;
    const scope = namespace === undefined ? 'in the whole cluster' : `in namespace ${namespace}`;
    return new CommandError(
      `user ${user} may not ${verb} ${resource} ${scope}: an administrator can bind ClusterRole ${roleFor(verb, resource)}, which the chart extends`,
    );
  }
  if (
    error.status === 404 &&
    /the server could not find the requested resource|page not found/.test(error.message)
  )
    return new CommandError(
      `FilerPair is not installed in this cluster: ${where} does not know its kinds (helm install filerpair)`,
    );
  return new CommandError(withoutRequest(error.message));
}

/** Of Kubernetes' own roles the least that has it (helm/filerpair/templates/roles-for-users.yaml). */
function roleFor(verb = '', resource = ''): string {
  if (['get', 'list', 'watch'].includes(verb)) return 'view';
  return resource === 'filerpairoperations' ? 'admin' : 'edit';
}

/** The message without method, path and status in front. */
const withoutRequest = (message: string): string => message.replace(/^[A-Z]+ \/\S*: (\d{3} )?/, '');
const lastPart = (message: string): string =>
  withoutRequest(message).replace(/^cannot prepare requests to the Kubernetes API: /, '');
