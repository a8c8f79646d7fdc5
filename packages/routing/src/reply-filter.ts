/**
 * `smtp_dns_reply_filter`: leaves out records of a DNS answer that a table says to ignore. Each record is looked up as the line of a
 * zone file, `name. ttl IN TYPE data`, names in ASCII form with a dot at the end. IGNORE is the only action there is.
 */
import type { Table } from '@mailfleet/lookup';
import type { Answer } from 'dns-packet';

/** Undefined: a lookup failed, or a result is no action. The answer must not be used then. */
export type FilteredAnswers = readonly Answer[] | undefined;

export async function filterAnswers(
  table: Table,
  answers: readonly Answer[],
  remarks: { readonly warnings: string[]; readonly notes: string[] },
): Promise<FilteredAnswers> {
  const kept: Answer[] = [];
  for (const answer of answers) {
    const line = zoneLine(answer);
    const result = await table.lookup(line);
    if (result.kind === 'error') {
      remarks.warnings.push(`${table.spec}: lookup error for DNS record '${line}': ${result.reason}`);
      return undefined;
    }
    if (result.kind === 'miss') {
      kept.push(answer);
    } else if (result.value.trim().toUpperCase() === 'IGNORE') {
      remarks.notes.push(`ignoring DNS RR: ${line}`);
    } else {
      remarks.warnings.push(`${table.spec}: unknown DNS filter action: "${result.value}"`);
      return undefined;
    }
  }
  return kept;
}

/** A record as a zone file has it. */
function zoneLine(answer: Answer): string {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0;
  return `${withDot(answer.name)} ${ttl} IN ${answer.type} ${dataText(answer)}`;
}

function dataText(answer: Answer): string {
  switch (answer.type) {
    case 'MX':
      return `${answer.data.preference ?? 0} ${withDot(answer.data.exchange)}`;
    case 'SRV': {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return `${priority} ${weight} ${port} ${withDot(target)}`;
    }
    case 'TLSA': {
      const { usage, selector, matchingType, certificate } = answer.data;
      return `${usage} ${selector} ${matchingType} ${Buffer.from(certificate).toString('hex')}`;
    }
    case 'A':
    case 'AAAA':
      return answer.data;
    case 'TXT':
      return [answer.data].flat().map(String).join('');
    default:
      return '';
  }
}

function withDot(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}
