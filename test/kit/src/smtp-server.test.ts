import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { makeCertificates } from './certificates.ts';
import { type SmtpServer, type SmtpServerOptions, startSmtpServer } from './smtp-server.ts';
import { waitFor } from './wait.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function start(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const server = await startSmtpServer(options);
  open.push(server);
  return server;
}

/** Sends everything at once and resolves with all that the server said until it closed. */
async function talk(server: SmtpServer, text: string): Promise<string> {
  const socket: Socket = server.path ? connect(server.path) : connect(server.port, server.host);
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk.toString();
  });
  socket.on('error', () => {
    said += '<error>';
  });
  socket.write(text);
  await waitFor(() => socket.closed || socket.readableEnded);
  return said;
}

const HELLO = 'EHLO client.test\r\n';
const TRANSACTION =
  'MAIL FROM:<a@x.test> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<b@y.test> NOTIFY=NEVER\r\nDATA\r\n';

describe('a correct server', () => {
  test('keeps what it receives, dot-stuffing removed', async () => {
    const server = await start();
    const said = await talk(
      server,
      `${HELLO}${TRANSACTION}Subject: x\r\n\r\n..one\r\nt.wo\r\n..\r\n.\r\nQUIT\r\n`,
    );
    const [message] = await server.waitForMessages(1);
    expect(message?.raw.toString()).toBe('Subject: x\r\n\r\n.one\r\nt.wo\r\n.\r\n');
    expect(message).toMatchObject({
      sender: 'a@x.test',
      recipients: ['b@y.test'],
      mailParameters: { SIZE: '10', BODY: '8BITMIME' },
      rcpt: [{ address: 'b@y.test', parameters: { NOTIFY: 'NEVER' } }],
      session: 1,
      tls: false,
    });
    expect(said).toContain('250-PIPELINING\r\n');
    expect(said).toMatch(/221 2\.0\.0 Bye\r\n$/);
  });

  test('takes an empty content and a quoted local part', async () => {
    const server = await start();
    await talk(server, `${HELLO}MAIL FROM:<>\r\nRCPT TO:<"a> b"@y.test>\r\nDATA\r\n.\r\nQUIT\r\n`);
    const [message] = await server.waitForMessages(1);
    expect(message).toMatchObject({ sender: '', recipients: ['"a> b"@y.test'], sizeBytes: 0 });
  });

  test('answers each recipient of LMTP, on a UNIX-domain socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kit-'));
    const server = await start({
      protocol: 'lmtp',
      path: join(directory, 'lmtp'),
      hooks: { dot: ({ recipient }) => (recipient === 'bad@y.test' ? '550 5.1.1 no' : undefined) },
    });
    const said = await talk(
      server,
      'LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<bad@y.test>\r\nRCPT TO:<good@y.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n',
    );
    const [message] = await server.waitForMessages(1);
    expect(message?.recipients).toEqual(['good@y.test']);
    expect(said).toMatch(/354 .*\r\n550 5\.1\.1 no\r\n250 .*\r\n221 /);
    rmSync(directory, { recursive: true });
  });

  test('speaks TLS with a certificate of the test authority', async () => {
    const authority = makeCertificates();
    const { cert, key } = authority.issue(['mx.test', '127.0.0.1']);
    const server = await start({ tls: { cert, key }, tlsWrapper: true });
    const socket = connectTls({
      port: server.port,
      host: server.host,
      ca: authority.ca.cert,
      servername: 'mx.test',
    });
    socket.write(`${HELLO}QUIT\r\n`);
    socket.resume();
    await waitFor(() => socket.readableEnded);
    expect(socket.authorized).toBe(true);
    expect(server.sessions[0]?.tls).toMatchObject({ protocol: 'TLSv1.3', servername: 'mx.test' });
    authority.remove();
  });

  test('upgrades with STARTTLS, then forgets the offer', async () => {
    const authority = makeCertificates();
    const server = await start({ tls: authority.issue(['mx.test']) });
    const plain = connect(server.port, server.host);
    let said = '';
    plain.on('data', (chunk) => {
      said += chunk.toString();
    });
    plain.write(`${HELLO}STARTTLS\r\n`);
    await waitFor(() => said.includes('220 2.0.0'));
    plain.removeAllListeners('data');
    const secure = connectTls({ socket: plain, ca: authority.ca.cert, servername: 'mx.test' });
    let saidSecurely = '';
    secure.on('data', (chunk) => {
      saidSecurely += chunk.toString();
    });
    secure.write(`${HELLO}${TRANSACTION}x\r\n.\r\nQUIT\r\n`);
    const [message] = await server.waitForMessages(1);
    expect(message?.tls).toBe(true);
    await waitFor(() => secure.readableEnded);
    expect(said).toContain('STARTTLS');
    expect(saidSecurely).not.toContain('STARTTLS');
    authority.remove();
  });

  test('checks AUTH PLAIN', async () => {
    const server = await start({ users: { joe: 'secret' } });
    const good = Buffer.from('\0joe\0secret').toString('base64');
    const bad = Buffer.from('\0joe\0wrong').toString('base64');
    const said = await talk(server, `${HELLO}AUTH PLAIN ${bad}\r\nAUTH PLAIN ${good}\r\nQUIT\r\n`);
    expect(said).toMatch(/535 .*\r\n235 /);
    expect(server.sessions[0]?.user).toBe('joe');
  });
});

describe('hooks', () => {
  test('replace a reply, delay it, and close the connection', async () => {
    const server = await start({
      hooks: { mail: '450 4.3.0 later', rset: { delayMs: 30, reply: '421 4.3.0 gone', close: true } },
    });
    const before = performance.now();
    const said = await talk(server, `${HELLO}MAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nRSET\r\nNOOP\r\n`);
    expect(performance.now() - before).toBeGreaterThanOrEqual(29);
    expect(said).toMatch(/450 4\.3\.0 later\r\n503 .*\r\n421 4\.3\.0 gone\r\n$/);
  });

  test('write raw bytes and reset the connection', async () => {
    const server = await start({ hooks: { greeting: { raw: '220 half' }, ehlo: { reset: true } } });
    expect(await talk(server, HELLO)).toMatch(/<error>$/);
  });

  test('count connections', async () => {
    const server = await start();
    const sockets = [1, 2, 3].map(() => connect(server.port, server.host));
    await waitFor(() => server.connections.open === 3);
    for (const socket of sockets) socket.destroy();
    await waitFor(() => server.connections.open === 0);
    await talk(server, 'QUIT\r\n');
    expect(server.connections).toMatchObject({ peak: 3, total: 4 });
  });
});

describe('dialogue scripts', () => {
  const script = [
    'S: 220 x ESMTP',
    'C: EHLO *',
    'S: 250-x',
    'S: 250 PIPELINING',
    'C: DATA',
    'S: 354 go',
    'content',
    'raw: 250 o\\x6b\\r\\n',
    'C: QUIT',
    'close',
  ];

  test('hold when the client does as written', async () => {
    const server = await start({ scripts: [script] });
    const said = await talk(server, 'EHLO a.test\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n');
    await server.dialogueDone();
    expect(said).toBe('220 x ESMTP\r\n250-x\r\n250 PIPELINING\r\n354 go\r\n250 ok\r\n');
    expect(server.contents[0]?.toString()).toBe('hello\r\n');
  });

  test('name the step and what the client sent instead', async () => {
    const server = await start({ scripts: [script] });
    await talk(server, 'HELO a.test\r\n');
    await expect(server.dialogueDone()).rejects.toThrow('step 2 (C: EHLO *): the client sent: HELO a.test');
  });
});

test('waiting in vain says how many messages came', async () => {
  const server = await start();
  await expect(server.waitForMessages(1, 10)).rejects.toThrow('expected 1 messages within 10 ms, 0 arrived');
});
