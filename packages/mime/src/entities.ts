/**
 * Follows the MIME structure of a message as it streams by, for one question: does any header block declare its part
 * 8bit or binary (`detect_8bit_encoding_header`, mime.md section 1)? The states and boundary rules are those of
 * mime.md sections 3 to 6. Costs a look at two bytes per body line, and nothing once the answer is yes or no part can
 * follow. Memory: the stacked boundaries and one header of at most `HEADER_KEPT` bytes.
 */

type Subtype = 'rfc822' | 'partial' | 'external-body' | 'global' | 'other';
type ContentType =
  | { readonly type: 'text' | 'other' }
  | { readonly type: 'message'; readonly subtype: Subtype }
  | { readonly type: 'multipart'; readonly digest: boolean };

interface Boundary {
  readonly text: string;
  readonly digest: boolean;
}

const TEXT: ContentType = { type: 'text' };
const EMBEDDED: ContentType = { type: 'message', subtype: 'rfc822' };
const LF = 10;
const DASH = 45;
/** mime_boundary_length_limit of Postfix. */
const BOUNDARY_COMPARED = 2048;
/** mime_nesting_limit of Postfix, with the two that its comparison lets through. */
const NESTING_LIMIT = 102;
/** Long enough for any Content-Type that means something. */
const HEADER_KEPT = 8192;

export class EncodingDetector {
  #found = false;
  #boundaries: Boundary[] = [];
  #type: ContentType = TEXT;
  #inHeader = true;
  #header = '';
  #line: Buffer[] = [];
  #lineLength = 0;

  /** True once a header block said 8bit or binary. */
  get found(): boolean {
    return this.#found;
  }

  /** A header of the primary block, unfolded: name in lower case and value. */
  primaryHeader(name: string, value: string): void {
    this.#examine(name, value);
  }

  /** The primary block is over. `clean`: by an empty line, not by text. */
  endPrimary(clean: boolean): void {
    this.#endHeader(clean);
  }

  /** Body text with canonical line ends, cut anywhere. */
  push(chunk: Buffer): void {
    let offset = 0;
    while (!this.#found && (this.#inHeader || this.#boundaries.length > 0)) {
      const end = chunk.indexOf(LF, offset);
      const piece = chunk.subarray(offset, end < 0 ? chunk.length : end + 1);
      if (end < 0 || this.#lineLength > 0) {
        if (this.#lineLength < HEADER_KEPT) this.#line.push(Buffer.from(piece));
        this.#lineLength += piece.length;
        if (end < 0) return;
        this.#endLine(Buffer.concat(this.#line));
        this.#line = [];
        this.#lineLength = 0;
      } else {
        this.#endLine(piece);
      }
      offset = end + 1;
    }
  }

  #endLine(line: Buffer): void {
    if (this.#inHeader && this.#headerLine(line)) return;
    if (line[0] === DASH && line[1] === DASH && line.length > 4 && this.#boundaries.length > 0) {
      this.#boundaryLine(line.toString('latin1', 2, Math.min(line.length, BOUNDARY_COMPARED + 4)).trimEnd());
    }
  }

  /** False: the line is no header line; it ended the block and is body text. */
  #headerLine(line: Buffer): boolean {
    const text = line.toString('latin1').trimEnd();
    if (text === '' && line[0] === 13) {
      this.#examineCollected();
      this.#endHeader(true);
      return true;
    }
    if (line[0] === 32 || line[0] === 9) {
      if (this.#header !== '') {
        if (this.#header.length < HEADER_KEPT) this.#header += ` ${text.trimStart()}`;
        return true;
      }
    } else if (/^[!-9;-~]+[ \t]*:/.test(text)) {
      this.#examineCollected();
      this.#header = text.slice(0, HEADER_KEPT);
      return true;
    }
    this.#examineCollected();
    this.#endHeader(false);
    return false;
  }

  #examineCollected(): void {
    const colon = this.#header.indexOf(':');
    if (colon > 0)
      this.#examine(this.#header.slice(0, colon).trim().toLowerCase(), this.#header.slice(colon + 1).trim());
    this.#header = '';
  }

  #examine(name: string, value: string): void {
    if (name === 'content-transfer-encoding') {
      if (/^(?:8bit|binary)$/i.test(value)) this.#found = true;
    } else if (name === 'content-type') {
      this.#contentType(value);
    }
  }

  #contentType(value: string): void {
    const plain = withoutComments(value);
    const [, major = '', minor = ''] = /^([^\s/;"]*)(?:\s*\/\s*([^\s;"]*))?/.exec(plain) ?? [];
    switch (major.toLowerCase()) {
      case 'text':
        this.#type = TEXT;
        break;
      case 'message':
        this.#type = { type: 'message', subtype: messageSubtype(minor.toLowerCase()) };
        break;
      case 'multipart': {
        const digest = minor.toLowerCase() === 'digest';
        this.#type = { type: 'multipart', digest };
        for (const text of boundariesIn(plain)) {
          if (this.#boundaries.length < NESTING_LIMIT) this.#boundaries.push({ text, digest });
        }
        break;
      }
      case '':
        this.#type = { type: 'other' };
        break;
      default:
        // An unknown type leaves the block's default, as in Postfix: an image in a digest counts as a message.
        break;
    }
  }

  #endHeader(clean: boolean): void {
    const type = this.#type;
    const nested =
      clean && type.type === 'message' && (type.subtype === 'rfc822' || type.subtype === 'global');
    this.#inHeader = nested;
    this.#type = nested ? TEXT : clean && type.type === 'multipart' ? { type: 'other' } : type;
  }

  #boundaryLine(text: string): void {
    for (let index = this.#boundaries.length - 1; index >= 0; index -= 1) {
      const boundary = this.#boundaries[index];
      if (boundary === undefined || !text.startsWith(boundary.text)) continue;
      const closes = text.startsWith('--', boundary.text.length);
      this.#boundaries.length = closes ? index : index + 1;
      this.#inHeader = !closes;
      this.#type = closes ? { type: 'other' } : boundary.digest ? EMBEDDED : TEXT;
      return;
    }
  }
}

function messageSubtype(name: string): Subtype {
  return name === 'rfc822' || name === 'partial' || name === 'external-body' || name === 'global'
    ? name
    : 'other';
}

/** Every boundary= parameter, token or quoted. */
function boundariesIn(value: string): string[] {
  const found: string[] = [];
  for (const match of value.matchAll(/;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/gi)) {
    const quoted = match[1];
    found.push(
      (quoted === undefined ? (match[2] ?? '') : quoted.replace(/\\(.)/g, '$1')).slice(0, BOUNDARY_COMPARED),
    );
  }
  return found;
}

/** The value without comments in parentheses (RFC 5322 section 3.2.2); quoted strings stay whole. */
function withoutComments(value: string): string {
  let depth = 0;
  let quoted = false;
  let result = '';
  for (let index = 0; index < value.length; index += 1) {
    const character = value[index] ?? '';
    if (character === '\\' && (quoted || depth > 0)) {
      if (depth === 0) result += character + (value[index + 1] ?? '');
      index += 1;
    } else if (!quoted && character === '(') depth += 1;
    else if (!quoted && depth > 0 && character === ')') depth -= 1;
    else if (depth === 0) {
      if (character === '"') quoted = !quoted;
      result += character;
    }
  }
  return result.trim();
}
