/**
 * OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's form of it): the secret is an access token. A server that refuses it says
 * why in a challenge, and gives its verdict after one more response.
 */
import { EMPTY, type Exchange, failed, type MechanismContext, respond } from './mechanism.ts';

const bearer = (initial: string, acknowledgement: Buffer | string): Exchange => {
  let acknowledged = false;
  return {
    initial: Buffer.from(initial),
    respond: () => {
      if (acknowledged) return failed('the server goes on after it refused the access token');
      acknowledged = true;
      return respond(acknowledgement);
    },
    objection: () => undefined,
  };
};

export const oauthBearer = ({ credentials }: MechanismContext): Exchange => {
  const user = credentials.user.replaceAll('=', '=3D').replaceAll(',', '=2C');
  return bearer(`n,a=${user},\x01auth=Bearer ${credentials.secret}\x01\x01`, '\x01');
};

export const xoauth2 = ({ credentials }: MechanismContext): Exchange =>
  bearer(`user=${credentials.user}\x01auth=Bearer ${credentials.secret}\x01\x01`, EMPTY);
