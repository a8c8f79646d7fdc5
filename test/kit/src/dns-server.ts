/**
 * A name server for tests: UDP and TCP on one ephemeral loopback port, answering like a recursive resolver from a table
 * that the test may change while it runs. A name that is not in the table does not exist (NXDOMAIN); a name without
 * the asked type answers with no data; CNAME chains inside the table are followed.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import {
  type Answer,
  AUTHENTIC_DATA,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type RecordType,
  TRUNCATED_RESPONSE,
} from 'dns-packet';

const RCODES = { NODATA: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
const DEFAULT_TTL_SECONDS = 300;
const LONGEST_CHAIN = 30;
const BIND_ATTEMPTS = 20;

/** TIMEOUT never answers. */
export type DnsBehaviour = keyof typeof RCODES | 'TIMEOUT';

export interface DnsAnswer {
  /** Record data in zone-file form: `10 mx.test`, `127.0.0.1`, `3 1 1 <hex>`, `0 0 25 host.test`. */
  readonly records?: readonly string[];
  /** In place of records, or together with them (an answer section under an error code). */
  readonly behaviour?: DnsBehaviour;
  readonly ttl?: number;
  /** Sets the AD bit (RFC 4035): the answer was validated. */
  readonly ad?: boolean;
  readonly delayMs?: number;
  /** Over UDP answer empty with the TC bit. */
  readonly truncate?: boolean;
  /** Drop this many queries before answering. */
  readonly dropFirst?: number;
  /** The whole answer section as dns-packet writes it, for answers that no zone file can hold. */
  readonly answers?: readonly Answer[];
  /** The whole packet; undefined sends nothing. */
  readonly respond?: (query: DecodedPacket) => Uint8Array | undefined;
}

export type DnsEntry = DnsBehaviour | string | readonly string[] | DnsAnswer;
export type DnsTypes = { readonly [type in RecordType]?: DnsEntry };
/** By name, without trailing dot; `*.example.test` stands for every name below. A behaviour alone holds for all types. */
export type DnsZones = Readonly<Record<string, DnsBehaviour | DnsTypes>>;

export interface DnsQuery {
  readonly name: string;
  readonly type: string;
  readonly over: 'udp' | 'tcp';
  readonly id: number;
  readonly flags: { readonly rd: boolean; readonly ad: boolean; readonly cd: boolean; readonly do: boolean };
  /** Size announced by EDNS, undefined without EDNS. */
  readonly udpPayloadSize: number | undefined;
}

export interface DnsServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`, as an entry of dns_servers. */
  readonly address: string;
  readonly queries: DnsQuery[];
  /** Replaces all of one name, or one type of it when the entry is an object with that type alone. */
  set(name: string, entry: DnsBehaviour | DnsTypes): void;
  delete(name: string): void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface DnsServerOptions {
  readonly zones?: DnsZones;
  readonly host?: string;
  /** Default 0: an ephemeral port. */
  readonly port?: number;
}

export async function startDnsServer(options: DnsServerOptions = {}): Promise<DnsServer> {
  const host = options.host ?? '127.0.0.1';
  const table = new Map<string, DnsBehaviour | DnsTypes>();
  const queries: DnsQuery[] = [];
  const dropped = new Map<string, number>();
  const timers = new Set<NodeJS.Timeout>();
  const connections = new Set<Socket>();
  for (const [name, entry] of Object.entries(options.zones ?? {})) table.set(canonical(name), entry);

  function entryOf(name: string): DnsBehaviour | DnsTypes | undefined {
    const exact = table.get(name);
    if (exact !== undefined) return exact;
    const labels = name.split('.');
    for (let i = 1; i < labels.length; i++) {
      const wild = table.get(`*.${labels.slice(i).join('.')}`);
      if (wild !== undefined) return wild;
    }
    return undefined;
  }

  function lookup(name: string, type: RecordType): DnsAnswer {
    const entry = entryOf(name);
    if (entry === undefined) return { behaviour: 'NXDOMAIN' };
    if (typeof entry === 'string') return { behaviour: entry };
    return answerOf(entry[type]);
  }

  /** Answer section and the entry that decided; follows aliases as a recursive server does. */
  function resolve(question: string, type: RecordType): { answer: DnsAnswer; section: Answer[] } {
    const section: Answer[] = [];
    let name = question;
    for (let step = 0; step <= LONGEST_CHAIN; step++) {
      const answer = lookup(canonical(name), type);
      const alias = type === 'CNAME' ? {} : lookup(canonical(name), 'CNAME');
      if (answer.records === undefined && answer.answers === undefined && alias.records?.[0] !== undefined) {
        section.push(recordOf(name, 'CNAME', alias.records[0], alias.ttl));
        name = alias.records[0];
        continue;
      }
      section.push(...(answer.answers ?? []));
      for (const data of answer.records ?? []) section.push(recordOf(name, type, data, answer.ttl));
      return { answer, section };
    }
    return { answer: {}, section };
  }

  function handle(packet: Buffer, over: 'udp' | 'tcp', send: (reply: Uint8Array) => void): void {
    let query: DecodedPacket;
    try {
      query = decode(packet);
    } catch {
      return;
    }
    const question = query.questions?.[0];
    if (question === undefined) return;
    const opt = query.additionals?.find((record) => record.type === 'OPT');
    queries.push({
      name: question.name,
      type: question.type,
      over,
      id: query.id ?? 0,
      flags: { rd: query.flag_rd, ad: query.flag_ad, cd: query.flag_cd, do: opt?.flag_do ?? false },
      udpPayloadSize: opt?.udpPayloadSize,
    });
    const { answer, section } = resolve(question.name, question.type);
    const key = `${canonical(question.name)} ${question.type}`;
    const drops = dropped.get(key) ?? 0;
    if (drops < (answer.dropFirst ?? 0)) {
      dropped.set(key, drops + 1);
      return;
    }
    if (answer.behaviour === 'TIMEOUT') return;
    const reply = (): void => {
      if (answer.respond !== undefined) {
        const bytes = answer.respond(query);
        if (bytes !== undefined) send(bytes);
        return;
      }
      const flags =
        (query.flag_rd ? RECURSION_DESIRED : 0) |
        RECURSION_AVAILABLE |
        (answer.ad ? AUTHENTIC_DATA : 0) |
        (answer.behaviour === undefined || answer.behaviour === 'TIMEOUT' ? 0 : RCODES[answer.behaviour]);
      const packetOf = (answers: Answer[], more: number): Buffer =>
        encode({ type: 'response', id: query.id, flags: flags | more, questions: [question], answers });
      const full = packetOf(section, 0);
      const limit = over === 'tcp' ? 65_535 : (opt?.udpPayloadSize ?? 512);
      const cut = (over === 'udp' && answer.truncate === true) || full.length > limit;
      send(cut ? packetOf([], TRUNCATED_RESPONSE) : full);
    };
    if (answer.delayMs === undefined) {
      reply();
    } else {
      const timer = setTimeout(() => {
        timers.delete(timer);
        reply();
      }, answer.delayMs);
      timers.add(timer);
    }
  }

  const { udp, tcp, port } = await bindBoth(host, options.port ?? 0);
  udp.on('message', (packet, peer) =>
    handle(packet, 'udp', (reply) => {
      // The socket may be closed by the time a delayed answer is due.
      if (!closed) udp.send(reply, peer.port, peer.address);
    }),
  );
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => socket.destroy());
    let input: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      input = Buffer.concat([input, chunk]);
      while (input.length >= 2 && input.length >= 2 + input.readUInt16BE(0)) {
        const packet = input.subarray(2, 2 + input.readUInt16BE(0));
        input = input.subarray(2 + packet.length);
        handle(packet, 'tcp', (reply) => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          if (socket.writable) socket.write(Buffer.concat([length, reply]));
        });
      }
    });
  });

  let closed = false;
  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    for (const timer of timers) clearTimeout(timer);
    for (const socket of connections) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => udp.close(() => resolve())),
      new Promise<void>((resolve) => tcp.close(() => resolve())),
    ]);
  }

  return {
    host,
    port,
    address: `${host}:${port}`,
    queries,
    set(name, entry) {
      const old = table.get(canonical(name));
      const merge = typeof entry === 'object' && typeof old === 'object' && Object.keys(entry).length === 1;
      table.set(canonical(name), merge ? { ...old, ...entry } : entry);
    },
    delete(name) {
      table.delete(canonical(name));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function answerOf(entry: DnsEntry | undefined): DnsAnswer {
  if (entry === undefined) return {};
  if (typeof entry === 'string') {
    return entry === 'TIMEOUT' || entry in RCODES
      ? { behaviour: entry as DnsBehaviour }
      : { records: [entry] };
  }
  return 'length' in entry ? { records: entry } : entry;
}

function recordOf(name: string, type: RecordType, text: string, ttl = DEFAULT_TTL_SECONDS): Answer {
  const words = text.split(/\s+/);
  const about = { name, ttl, class: 'IN' as const };
  switch (type) {
    case 'MX':
      return { ...about, type, data: { preference: Number(words[0]), exchange: words[1] ?? '' } };
    case 'SRV': {
      const [priority, weight, port] = words.map(Number);
      return {
        ...about,
        type,
        data: { priority: priority ?? 0, weight: weight ?? 0, port: port ?? 0, target: words[3] ?? '' },
      };
    }
    case 'TLSA': {
      const [usage, selector, matchingType] = words.map(Number);
      const certificate = Buffer.from(words[3] ?? '', 'hex');
      return {
        ...about,
        type,
        data: { usage: usage ?? 0, selector: selector ?? 0, matchingType: matchingType ?? 0, certificate },
      };
    }
    case 'TXT':
      // A string of a record holds 255 bytes (RFC 1035 section 3.3); a longer text is several.
      return { ...about, type, data: text.match(/.{1,255}/gs) ?? '' };
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return { ...about, type, data: text };
    default:
      throw new Error(`the test name server cannot write ${type} records as text: give \`answers\``);
  }
}

/** UDP and TCP ports are counted apart, so a free one of both kinds takes a few attempts. */
async function bindBoth(
  host: string,
  wanted: number,
): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 0; attempt < BIND_ATTEMPTS; attempt++) {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(wanted, host, resolve);
    });
    const { port } = udp.address();
    const tcp = createServer();
    const bound = await new Promise<boolean>((resolve) => {
      tcp.once('error', () => resolve(false));
      tcp.listen(port, host, () => resolve(true));
    });
    if (bound) return { udp, tcp, port };
    await new Promise<void>((resolve) => udp.close(() => resolve()));
  }
  throw new Error(`no port on ${host} is free for both UDP and TCP`);
}
