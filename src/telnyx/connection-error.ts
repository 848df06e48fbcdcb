/** What the system says of a connection that failed, out of the errors around it. */

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ENOTFOUND: 'this name has no address',
  EAI_AGAIN: 'the name server does not answer',
  ECONNRESET: 'it broke the connection off',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

/** `HOST: the connection failed: REASON (CODE)`. */
export function unreachable(host: string, error: unknown): string {
  const code = codeOf(error);
  const reason = code === undefined ? undefined : REASONS[code];
  const words = [`${host}: the connection failed`, reason].filter(word => word !== undefined).join(': ');
  return code === undefined ? words : `${words} (${code})`;
}

/** The code of the innermost error; of several attempts, the first one's. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { cause, errors, code } = error as { cause?: unknown; errors?: unknown; code?: unknown };
  const inner = codeOf(cause) ?? (Array.isArray(errors) ? codeOf(errors[0]) : undefined);
  return inner ?? (typeof code === 'string' ? code : undefined);
}
