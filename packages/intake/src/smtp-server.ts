/**
 * The SMTP listener of the intake: the smtp-server package with our connections. Offers PIPELINING, SIZE, 8BITMIME,
 * ENHANCEDSTATUSCODES, DSN, SMTPUTF8, STARTTLS with a certificate and AUTH with password tables; relays for mynetworks and
 * authenticated clients only. A message is answered 250 when it is durable, never before.
 *
 * With a certificate, AUTH is offered inside TLS only. `trusted` is for a socket that only its owner can reach (sendmail -bs).
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { matchNetworks } from '@mailfleet/lookup';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { Intake } from './intake.ts';
import { passwordCheck } from './password.ts';
import { IntakeConnection } from './smtp-connection.ts';

export class IntakeSmtpServer extends SMTPServer {
  readonly intake: Intake;
  readonly trusted: boolean;
  readonly #sessions = new WeakMap<object, IntakeConnection>();

  constructor(intake: Intake, trusted: boolean, options: SMTPServerOptions) {
    super(options);
    this.intake = intake;
    this.trusted = trusted;
  }

  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null): void {
    const connection = new IntakeConnection(this, socket, options);
    this.#sessions.set(connection.session, connection);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }

  connectionOf(session: object): IntakeConnection {
    const connection = this.#sessions.get(session);
    if (connection === undefined) throw new Error('an SMTP session without a connection of ours');
    return connection;
  }

  /** Stops listening, closes idle sessions with a 421 and lets the others finish their message. */
  drain(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.close(resolve));
    for (const connection of [...this.connections]) {
      if (!(connection instanceof IntakeConnection) || connection.busy) continue;
      connection.send(421, `4.3.2 ${connection.name} Service shutting down`, false);
    }
    return closed;
  }
}

/** Makes a listener; throws a sentence when certificate or key cannot be read. */
export async function createSmtpServer(
  intake: Intake,
  { trusted = false }: { readonly trusted?: boolean } = {},
): Promise<IntakeSmtpServer> {
  const { config, telemetry } = intake;
  const tls = await readCertificate(intake);
  const withAuth = config.get('intake_password_maps').length > 0;
  const disabledCommands = ['WIZ', 'SHELL', 'KILL'];
  if (tls === undefined) disabledCommands.push('STARTTLS');
  if (!withAuth) disabledCommands.push('AUTH');
  const xclientHosts = matchNetworks(config.get('smtpd_authorized_xclient_hosts'));
  const xforwardHosts = matchNetworks(config.get('smtpd_authorized_xforward_hosts'));
  const verpClients = matchNetworks(config.get('smtpd_authorized_verp_clients'));
  const connectionLimit = config.get('smtpd_client_connection_count_limit');

  const server: IntakeSmtpServer = new IntakeSmtpServer(intake, trusted, {
    ...tls,
    allowHalfOpen: true,
    name: config.get('myhostname'),
    heloResponse: '%s',
    size: config.get('message_size_limit'),
    logger: false,
    disabledCommands,
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: true,
    // With TLS at hand the package then refuses AUTH outside of it.
    allowInsecureAuth: tls === undefined,
    // XCLIENT and XFORWARD are decided per connection, see onConnect.
    useXClient: true,
    useXForward: true,
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    hideDSN: false,
    hideSMTPUTF8: !intake.smtputf8,
    socketTimeout: config.get('smtpd_timeout'),
    closeTimeout: config.get('shutdown_grace_time'),
    onAuth: passwordCheck(intake),
    onConnect(session, callback) {
      const connection = server.connectionOf(session);
      const address = connection.clientAddress;
      const matches = async (list: typeof xclientHosts): Promise<boolean> =>
        (await list.match(address)).kind === 'match';
      const admit = async (): Promise<Error | undefined> => {
        connection.authorize({
          xclient: trusted || (await matches(xclientHosts)),
          xforward: trusted || (await matches(xforwardHosts)),
          xverp: trusted || (await matches(verpClients)),
        });
        if (tls !== undefined && withAuth) session.disabledCommands = [...disabledCommands, 'AUTH'];
        if (trusted || connectionLimit === 0 || countFrom(server, address) <= connectionLimit)
          return undefined;
        if (await matches(intake.mynetworks)) return undefined;
        return replyError(421, `4.7.0 ${connection.name} Error: too many connections from ${address}`);
      };
      admit().then(callback, (error: unknown) => callback(toError(error)));
    },
    onSecure(_socket, session, callback) {
      session.disabledCommands = disabledCommands;
      callback();
    },
    onData(stream, session, callback) {
      const connection = server.connectionOf(session);
      // The rest of a refused message must still be read, or the client would never see our reply.
      const content = stream.iterator({ destroyOnReturn: false });
      connection.receive(content).then(
        (reply) => {
          stream.resume();
          if (reply.code === 250) callback(null, reply.text);
          else callback(replyError(reply.code, reply.text));
        },
        (error: unknown) => {
          telemetry.log.error({ err: error }, 'a message could not be taken in');
          stream.resume();
          callback(replyError(451, '4.3.0 Error: internal error, try again later'));
        },
      );
    },
  });
  server.on('error', (error: Error) =>
    telemetry.log.info({ err: error }, `SMTP session lost: ${error.message}`),
  );
  return server;
}

function countFrom(server: IntakeSmtpServer, address: string): number {
  let count = 0;
  for (const connection of server.connections) {
    if (connection._originalRemoteAddress === address) count += 1;
  }
  return count;
}

async function readCertificate({ config }: Intake): Promise<{ cert: Buffer; key: Buffer } | undefined> {
  const certFile = config.get('intake_tls_cert_file');
  if (certFile === '') return undefined;
  const read = async (name: string, file: string): Promise<Buffer> => {
    try {
      return await readFile(file);
    } catch (error) {
      throw new Error(`${name}: cannot read ${file}: ${toError(error).message}`, { cause: error });
    }
  };
  return {
    cert: await read('intake_tls_cert_file', certFile),
    key: await read('intake_tls_key_file', config.get('intake_tls_key_file')),
  };
}

function replyError(responseCode: number, text: string): Error & { responseCode: number } {
  return Object.assign(new Error(text), { responseCode });
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
