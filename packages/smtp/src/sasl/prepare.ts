/** SASLprep (RFC 4013): one form for names and passwords that look the same. */

/** Undefined: the text has characters that SASLprep forbids. */
export const saslprep = async (text: string): Promise<string | undefined> => {
  // Printable ASCII is in that form already; the tables for the rest are large.
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const { saslprep: prepare } = await import('@mongodb-js/saslprep');
  try {
    return prepare(text, { allowUnassigned: true });
  } catch {
    return undefined;
  }
};
