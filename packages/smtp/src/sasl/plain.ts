/**
 * The mechanisms without a calculation: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), EXTERNAL (RFC 4422 appendix A),
 * ANONYMOUS (RFC 4505).
 *
 * PLAIN and LOGIN send name and password as they stand in the table: preparing them (RFC 4616 section 2) is the server's part, and a
 * server that compares octets would refuse what a client had prepared.
 */
import { type Exchange, failed, type MechanismContext, respond } from './mechanism.ts';

/** One message of the client, and nothing to check. */
const oneMessage = (text: string): Exchange => ({
  initial: Buffer.from(text),
  respond: () => failed('the server asks for more than the mechanism has'),
  objection: () => undefined,
});

export const plain = ({ credentials, authorizationId }: MechanismContext): Exchange =>
  oneMessage(`${authorizationId}\0${credentials.user}\0${credentials.secret}`);

export const external = ({ authorizationId }: MechanismContext): Exchange => oneMessage(authorizationId);

/** The name is trace information: who it was, without proof. */
export const anonymous = ({ credentials }: MechanismContext): Exchange => oneMessage(credentials.user);

/** The texts of its prompts differ between servers; their order does not. */
export const login = ({ credentials }: MechanismContext): Exchange => {
  const answers = [credentials.user, credentials.secret];
  return {
    initial: undefined,
    respond: () => {
      const answer = answers.shift();
      return answer === undefined
        ? failed('the server asks for more than name and password')
        : respond(answer);
    },
    objection: () => undefined,
  };
};
