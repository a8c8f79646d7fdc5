/**
 * A scriptable milter: says what a test wants to each step, `continue` otherwise, and keeps what it was told. Speaks the protocol by
 * itself, so that a client's mistake in it shows.
 */
import { createServer, type Socket } from 'node:net';

export interface MilterStep {
  /** The letter of the command: C, H, M, R, T, L, N, B, E, Q. */
  readonly letter: string;
  /** As Latin-1, with its NULs. */
  readonly data: string;
  /** Macros that came for this step. */
  readonly macros: Readonly<Record<string, string>>;
}

/** Packets to answer with: a letter and what follows; undefined: continue; `silence`: nothing; `hangup`: the end. */
type MilterAnswer = readonly (string | Buffer)[] | 'silence' | 'hangup' | undefined;

export type MilterScript = (step: MilterStep) => MilterAnswer;

export interface MilterServer extends AsyncDisposable {
  /** `inet:127.0.0.1:port`, or `unix:path`. */
  readonly address: string;
  readonly steps: readonly MilterStep[];
  /** Steps of one letter, their data without the final NUL, further NULs as `|`. */
  told(letter: string): readonly string[];
}

export interface MilterServerOptions {
  /** A socket in the file system instead of a port. */
  readonly path?: string;
  /** SMFIF_: what it announces to do; default all but symbol lists. */
  readonly actions?: number;
  /** SMFIP_: what it does not want; default 0. */
  readonly steps?: number;
  readonly version?: number;
  /** Answers no offer of a protocol. */
  readonly mute?: boolean;
}

export async function startMilter(
  script: MilterScript = () => undefined,
  options: MilterServerOptions = {},
): Promise<MilterServer> {
  const steps: MilterStep[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let bytes = Buffer.alloc(0);
    let macros: Record<string, string> = {};
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) {
        const whole = bytes.subarray(4, 4 + bytes.readUInt32BE());
        bytes = bytes.subarray(4 + whole.length);
        const letter = whole.toString('latin1', 0, 1);
        if (letter === 'O') {
          if (options.mute !== true) socket.write(framed(negotiation(options)));
        } else if (letter === 'D') macros = macrosIn(whole.toString('latin1', 2));
        else {
          const step = { letter, data: whole.toString('latin1', 1), macros };
          macros = {};
          steps.push(step);
          answer(socket, step);
        }
      }
    });
  });
  const answer = (socket: Socket, step: MilterStep): void => {
    const said = script(step);
    if (step.letter === 'Q' || said === 'hangup') socket.end();
    else if (said !== 'silence' && !owesNothing(step.letter, options.steps ?? 0)) {
      for (const reply of said ?? ['c']) {
        socket.write(framed(typeof reply === 'string' ? Buffer.from(reply) : reply));
      }
    }
  };
  await new Promise<void>((resolve) => {
    if (options.path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(options.path, resolve);
  });
  const bound = server.address();
  return {
    address: typeof bound === 'string' ? `unix:${bound}` : `inet:127.0.0.1:${bound?.port ?? 0}`,
    steps,
    told: (letter) =>
      steps
        .filter((step) => step.letter === letter)
        .map(({ data }) => data.replace(/\0$/, '').replaceAll('\0', '|')),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Body of a packet that names a header by index. */
export function indexed(letter: string, index: number, name: string, value: string): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter);
  head.writeUInt32BE(index, 1);
  return Buffer.concat([head, Buffer.from(`${name}\0${value}\0`)]);
}

const SILENT: Readonly<Record<string, number>> = {
  C: 0x1000,
  H: 0x2000,
  M: 0x4000,
  R: 0x8000,
  T: 0x10000,
  N: 0x40000,
  B: 0x80000,
  L: 0x80,
};

function owesNothing(letter: string, steps: number): boolean {
  return ((SILENT[letter] ?? 0) & steps) !== 0;
}

function negotiation({ version = 6, actions = 0xff, steps = 0 }: MilterServerOptions): Buffer {
  const body = Buffer.alloc(13);
  body.write('O');
  body.writeUInt32BE(version, 1);
  body.writeUInt32BE(actions, 5);
  body.writeUInt32BE(steps, 9);
  return body;
}

function macrosIn(data: string): Record<string, string> {
  const all = data.split('\0');
  const macros: Record<string, string> = {};
  for (let at = 0; at + 1 < all.length; at += 2) macros[all[at] ?? ''] = all[at + 1] ?? '';
  return macros;
}

function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}
