/**
 * Gets a domain's MTA-STS policy file (RFC 8461 section 3.3). The domain is a stranger's choice, so is where its name leads: only
 * `mta-sts.<domain>` is asked, as outside-request.ts asks strangers, for one small text.
 */
import { type OutsideOptions, requestOutside } from '../outside-request.ts';
import { MOST_BYTES, readPolicyFile, type StsPolicy } from './policy-file.ts';

/** Rejects with a sentence that says why there is no policy to be had. */
export const fetchPolicy = async (domain: string, options: OutsideOptions): Promise<StsPolicy> => {
  const url = new URL(`https://mta-sts.${domain}/.well-known/mta-sts.txt`);
  const { status, type, body } = await requestOutside(
    { url, method: 'GET', headers: { accept: 'text/plain' }, mostBytes: MOST_BYTES },
    options,
  );
  // A redirect would let others speak for the domain.
  if (status !== 200) throw new Error(`${url.href}: status ${status}`);
  if (type !== 'text/plain') throw new Error(`${url.href}: the answer is no text/plain`);
  return readPolicyFile(body);
};
