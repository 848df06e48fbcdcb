/** Why a port cannot be listened on, in the system's words, with the remedy that fits. */
import { createServer } from 'node:net';
import { SidetoneError } from './errors.js';

/** The options and flags of the address that was to be listened on. */
export interface ListenNames {
  hostOption: string;
  portOption: string;
  hostFlag: string;
  portFlag: string;
}

export const SERVER_NAMES: ListenNames = {
  hostOption: 'host',
  portOption: 'port',
  hostFlag: '--host',
  portFlag: '--port',
};
export const ADMIN_NAMES: ListenNames = {
  hostOption: 'adminHost',
  portOption: 'adminPort',
  hostFlag: '--admin-host',
  portFlag: '--admin-port (--no-admin does without)',
};

/** The first port that every user may listen on, where the system does not say otherwise. */
const FREE_FOR_ALL = 1024;

/**
 * The error code with which the system refuses an address. uWebSockets.js tells only that it could not listen, so
 * this tries once more with a socket of node:net. Undefined where that socket gets the address; it is closed at once.
 */
export function probeListen(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise(resolve => {
    const probe = createServer();
    probe.once('error', resolve);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

/** The error to throw: SIDETONE_PORT_IN_USE where another port would do, SIDETONE_BAD_OPTION where the address is wrong. */
export function listenError(
  host: string,
  port: number,
  names: ListenNames,
  cause: NodeJS.ErrnoException | undefined,
): SidetoneError {
  const code = cause?.code ?? 'no reason given';
  const at = `${names.portOption}: ${port}: cannot listen on ${host} (${code})`;
  const another = `choose another with ${names.portFlag}`;
  switch (cause?.code) {
    case 'EADDRINUSE': {
      const who = `in use by another process (\`ss -ltnp 'sport = :${port}'\` shows which)`;
      return portError(`${at}: ${who}: end it, or ${another}`, cause);
    }
    case 'EACCES': {
      const low = `a port below ${FREE_FOR_ALL} needs root or CAP_NET_BIND_SERVICE: give the process one, or ${another}`;
      const denied = `the system does not allow it (a security policy, or a firewall): allow it, or ${another}`;
      return portError(`${at}: ${port < FREE_FOR_ALL ? low : denied}`, cause);
    }
    case undefined:
      return portError(`${at}: it was taken a moment ago and is free now: try again, or ${another}`, cause);
    default: {
      const isName = cause?.code === 'ENOTFOUND' || cause?.code === 'EAI_AGAIN';
      const why = isName ? 'this name has no address' : 'this is no address of this machine';
      const remedy = `give one that \`ip address\` lists, or 0.0.0.0 for all, with ${names.hostFlag}`;
      const problem = `${names.hostOption}: ${host}: cannot listen on it (${code}): ${why}: ${remedy}`;
      return new SidetoneError('SIDETONE_BAD_OPTION', problem, { cause });
    }
  }
}

function portError(problem: string, cause: unknown): SidetoneError {
  return new SidetoneError('SIDETONE_PORT_IN_USE', problem, { cause });
}
