/**
 * DNS questions and answers as bytes: builds a query (RFC 1035, EDNS of RFC 6891, AD of RFC 6840) and reads a reply.
 *
 * Only a reply with the query's id and question counts; everything else on the socket is somebody else's packet. A reply
 * that is ours but cannot be decoded to its last byte is `malformed`, never an exception.
 */
import {
  type Answer,
  AUTHENTIC_DATA,
  type DecodedPacket,
  DNSSEC_OK,
  decode,
  encode,
  RECURSION_DESIRED,
} from 'dns-packet';

/** Record types this package asks for, with the data of one record. */
export interface RecordData {
  A: string;
  AAAA: string;
  CNAME: string;
  NS: string;
  MX: { readonly preference: number; readonly exchange: string };
  SRV: { readonly priority: number; readonly weight: number; readonly port: number; readonly target: string };
  TLSA: {
    readonly usage: number;
    readonly selector: number;
    readonly matchingType: number;
    readonly certificate: Uint8Array;
  };
  TXT: string;
}
export type LookupType = keyof RecordData;

export interface Question {
  /** Without trailing dot, ASCII. */
  readonly name: string;
  readonly type: LookupType;
  /** Sets the DO bit (RFC 4035 section 3.2.1): answers come with their signatures, and may have the AD bit. */
  readonly dnssec?: boolean;
}

export interface Reply {
  readonly kind: 'reply';
  readonly rcode: number;
  readonly truncated: boolean;
  /** The AD bit: the server validated the answer by DNSSEC. */
  readonly validated: boolean;
  readonly answers: readonly Answer[];
  /** How long the answer, or the lack of one, may be kept; 0 when it may not. */
  readonly ttlSeconds: number;
}

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

/** What DNS flag day 2020 recommends: fits an unfragmented packet on nearly every path. */
const UDP_PAYLOAD_BYTES = 1232;
const HEADER_BYTES = 12;
const RCODE_MASK = 0x0f;

export function encodeQuery(question: Question, id: number, edns: boolean): Buffer {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ name: question.name, type: question.type, class: 'IN' }],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: UDP_PAYLOAD_BYTES,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: question.dnssec === true ? DNSSEC_OK : 0,
            flag_do: question.dnssec === true,
            options: [],
          },
        ]
      : [],
  });
}

/** Reads a packet as the answer to the question; `foreign` is to be ignored. */
export function decodeReply(
  packet: Buffer,
  question: Question,
  id: number,
): Reply | { readonly kind: 'foreign' | 'malformed' } {
  if (packet.length < HEADER_BYTES || packet.readUInt16BE(0) !== id) return { kind: 'foreign' };
  const rcode = packet.readUInt16BE(2) & RCODE_MASK;
  let message: DecodedPacket;
  try {
    message = decode(packet);
  } catch {
    return { kind: 'malformed' };
  }
  const asked = message.questions?.[0];
  if (!message.flag_qr) return { kind: 'foreign' };
  // A server that understood nothing of the query may leave the question out (RFC 1035 does not say).
  if (asked === undefined && rcode === RCODE.NOERROR) return { kind: 'malformed' };
  if (asked !== undefined && !(sameName(asked.name, question.name) && asked.type === question.type)) {
    return { kind: 'foreign' };
  }
  const answers = message.answers ?? [];
  // A record whose length field is wrong for its type makes decoding end before or after the last byte.
  if (!message.flag_tc && decode.bytes !== packet.length) return { kind: 'malformed' };
  if (answers.some((answer) => answer.type !== 'OPT' && answer.class !== 'IN')) return { kind: 'malformed' };
  return {
    kind: 'reply',
    rcode,
    truncated: message.flag_tc,
    validated: message.flag_ad,
    answers,
    ttlSeconds: ttlOf(rcode, answers, message.authorities ?? []),
  };
}

export function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** Positive: the shortest TTL. Negative: what the SOA record grants (RFC 2308 section 5), nothing without one. */
function ttlOf(rcode: number, answers: readonly Answer[], authorities: readonly Answer[]): number {
  const ttls: number[] = [];
  for (const answer of answers) if ('ttl' in answer) ttls.push(answer.ttl ?? 0);
  if (rcode === RCODE.NOERROR && ttls.length > 0) return Math.min(...ttls);
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0;
  const soa = authorities.find((record) => record.type === 'SOA');
  return soa === undefined ? 0 : Math.min(...ttls, soa.ttl ?? 0, soa.data.minimum ?? 0);
}
