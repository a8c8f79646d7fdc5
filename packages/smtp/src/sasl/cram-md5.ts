/** CRAM-MD5 (RFC 2195): the password keys a digest of the server's challenge. The server proves nothing. */
import { createHmac } from 'node:crypto';
import { type Exchange, failed, type MechanismContext, respond } from './mechanism.ts';

export const cramMd5 = ({ credentials }: MechanismContext): Exchange => {
  let answered = false;
  return {
    initial: undefined,
    respond: (challenge) => {
      if (answered) return failed('the server sent a second challenge');
      // A constant challenge would make the answer good for ever.
      if (challenge.length === 0) return failed('the server sent an empty challenge');
      answered = true;
      const digest = createHmac('md5', credentials.secret).update(challenge).digest('hex');
      return respond(`${credentials.user} ${digest}`);
    },
    objection: () => undefined,
  };
};
