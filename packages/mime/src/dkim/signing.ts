/**
 * DKIM signatures (RFC 6376, RFC 8463 for Ed25519) by mailauth: relaxed/relaxed, SHA-256, over content exactly as it goes out but
 * for dot-stuffing. The content is read once, in constant memory beyond its header.
 *
 * The domain of the From address decides who signs, since that is what DMARC compares (RFC 7489 section 3.1). A message without one,
 * or of a domain without a signer, goes out unsigned.
 */
import { Readable } from 'node:stream';
import type { Table } from '@mailfleet/lookup';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
import { firstAddress } from '../rewriting/address-list.ts';
import { KeyFiles } from './key-files.ts';
import { findSigners, type Signer } from './signers.ts';

export interface DkimOptions {
  /** The parameter's name, for messages. */
  readonly name: string;
  readonly table: Table;
  /** Names of the headers that are signed, where they are there. */
  readonly headers: readonly string[];
  readonly steadyNow: () => number;
}

/** `headers` go before the content; empty: it stays unsigned. */
export type Signatures = { readonly headers: Buffer } | { readonly error: string };

const NONE: Signatures = { headers: Buffer.alloc(0) };
/** No header that means something is longer: such a message goes out unsigned. */
const HEAD_LIMIT = 4 * 1024 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

export class DkimSigning {
  readonly #options: DkimOptions;
  readonly #keys: KeyFiles;

  constructor(options: DkimOptions) {
    this.#options = options;
    this.#keys = new KeyFiles(options.steadyNow);
  }

  /** @param content in CR LF lines; a stream is read to its end, or left early when nobody signs */
  async sign(content: Buffer | AsyncIterable<Buffer>): Promise<Signatures> {
    if (Buffer.isBuffer(content)) {
      const signers = await this.#signersFor(headOf(content));
      return Array.isArray(signers) ? this.#signWith(signers, content) : signers;
    }
    const chunks = content[Symbol.asyncIterator]();
    const { read, head } = await readHead(chunks);
    const signers = await this.#signersFor(head);
    if (!Array.isArray(signers) || signers.length === 0) {
      await chunks.return?.();
      return Array.isArray(signers) ? NONE : signers;
    }
    return this.#signWith(signers, Readable.from(following(read, chunks), { objectMode: false }));
  }

  async #signersFor(head: Buffer | undefined): Promise<Signer[] | { readonly error: string }> {
    const { name, table } = this.#options;
    const domain = head && fromDomain(head);
    if (domain === undefined) return [];
    const signers = await findSigners(table, domain);
    return 'error' in signers ? { error: `${name}: ${signers.error}` } : [...signers];
  }

  async #signWith(signers: readonly Signer[], content: Buffer | Readable): Promise<Signatures> {
    if (signers.length === 0) return NONE;
    const signatureData: { signingDomain: string; selector: string; privateKey: Buffer }[] = [];
    for (const { domain, selector, keyFile } of signers) {
      const key = await this.#keys.read(keyFile);
      if ('error' in key) {
        if (!Buffer.isBuffer(content)) content.destroy();
        return key;
      }
      signatureData.push({ signingDomain: domain, selector, privateKey: key.pem });
    }
    const { signatures, errors } = await dkimSign(content, {
      // Its types want these too, though signatureData has all that counts.
      ...{ signingDomain: '', selector: '', privateKey: '' },
      canonicalization: 'relaxed/relaxed',
      headerList: [...this.#options.headers],
      signatureData,
    });
    const [problem] = errors;
    if (problem === undefined) return { headers: Buffer.from(signatures) };
    const { selector, signingDomain, err } = problem;
    return { error: `${selector ?? ''}._domainkey.${signingDomain ?? ''}: ${err.message}` };
  }
}

/** The header block, without the empty line that ends it. */
function headOf(content: Buffer): Buffer {
  const end = content.indexOf(HEAD_END);
  return end < 0 ? content : content.subarray(0, end + 2);
}

async function readHead(
  chunks: AsyncIterator<Buffer>,
): Promise<{ readonly read: Buffer; readonly head: Buffer | undefined }> {
  const pieces: Buffer[] = [];
  let length = 0;
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) {
      const read = Buffer.concat(pieces);
      return { read, head: headOf(read) };
    }
    // A copy: the chunk is not ours for longer than this step.
    pieces.push(Buffer.from(next.value));
    length += next.value.length;
    const read = pieces.length === 1 ? (pieces[0] ?? next.value) : Buffer.concat(pieces);
    pieces.splice(0, pieces.length, read);
    if (read.includes(HEAD_END)) return { read, head: headOf(read) };
    if (length > HEAD_LIMIT) return { read, head: undefined };
  }
}

async function* following(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  try {
    for (;;) {
      const next = await rest.next();
      if (next.done === true) return;
      yield Buffer.from(next.value);
    }
  } finally {
    await rest.return?.();
  }
}

/** Domain of the first address of From, lower case. */
function fromDomain(head: Buffer): string | undefined {
  const [, value] = /^from[ \t]*:(.*(?:\r\n[ \t].*)*)/im.exec(head.toString('utf8')) ?? [];
  const address = value === undefined ? undefined : firstAddress(value.replaceAll('\r\n', ' '))?.address;
  const at = address?.lastIndexOf('@') ?? -1;
  return address === undefined || at < 0 ? undefined : address.slice(at + 1).toLowerCase();
}
