/** A domain's wish for reports: the TXT record at `_smtp._tls.<domain>` (RFC 8460 section 3). */

export interface ReportWish {
  /** Where reports go, `mailto:` and `https:`, in the record's order. */
  readonly destinations: readonly string[];
}

/** Enough for anybody; a record of strangers decides how often we send. */
const MOST_DESTINATIONS = 4;

/** Undefined: the domain wants none. Two records are a mistake, and count as none. */
export const readReportWish = (records: readonly string[]): ReportWish | undefined => {
  const [record, second] = records.filter((each) => /^v=TLSRPTv1[ \t]*;/.test(each));
  if (record === undefined || second !== undefined) return undefined;
  const rua = /;[ \t]*rua=([^;]*)/.exec(record)?.[1] ?? '';
  const destinations = rua
    .split(',')
    .map((uri) => uri.trim())
    .filter((uri) => /^(?:mailto:[^\s<>"]+@[^\s<>"]+|https:\/\/[^\s<>"]+)$/i.test(uri));
  return destinations.length === 0 ? undefined : { destinations: destinations.slice(0, MOST_DESTINATIONS) };
};
