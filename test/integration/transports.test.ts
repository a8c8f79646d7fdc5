/**
 * Transports of master.cf end to end: transport_maps leads domains to two of them and to error, discard and retry; each delivers as
 * its own -o values say, and is limited as `<transport>_destination_…` and maxproc say.
 */
import { makeCertificates, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

const MASTER = `# service type private unpriv chroot wakeup maxproc command
smtp unix - - n - - smtp
retry unix - - n - - error
plain unix - - n - - smtp -o smtp_tls_security_level=none -o smtp_bind_address=127.0.0.11
    -o { smtp_helo_name = plain.$mydomain } -o syslog_name=postfix/$service_name
secret unix - - n - 1 smtp
# the level is a must here
    -o smtp_tls_security_level=encrypt -o smtp_bind_address=127.0.0.12
    -o smtp_helo_name=secret.example
`;

describe('transport_maps and the transports of master.cf', () => {
  const stack = new AsyncDisposableStack();
  let fleet: Fleet;
  let peer: Awaited<ReturnType<typeof startSmtpServer>>;

  beforeAll(async () => {
    const authority = makeCertificates();
    stack.defer(() => authority.remove());
    peer = stack.use(await startSmtpServer({ tls: authority.issue(['sink.test']) }));
    const to = `[127.0.0.1]:${peer.port}`;
    const map = {
      'plain.test': `plain:${to}`,
      'secret.test': `secret:${to}`,
      'usual.test': `smtp:${to}`,
      'gone.test': 'error:5.1.6 moved away',
      'hole.test': 'discard:into the void',
      'later.test': 'retry:4.3.2 not today',
      'pigeon.test': 'pigeon:loft',
    };
    const pairs = Object.entries(map).map(([domain, way]) => `{ ${domain} = ${way} }`);
    fleet = stack.use(
      await startFleet({
        master: MASTER,
        parameters: {
          mydomain: 'fleet.example',
          transport_maps: `inline:{ ${pairs.join(', ')} }`,
          smtp_tls_security_level: 'may',
          plain_destination_concurrency_limit: '1',
        },
      }),
    );
    // By HTTP: SMTP refuses at once what leads to the error transport.
    for (const domain of Object.keys(map)) {
      const query = new URLSearchParams({ from: 'a@example.org', to: `b@${domain}` });
      const answer = await fetch(`${fleet.httpUrl}/v1/messages?${query}`, {
        method: 'POST',
        headers: { 'content-type': 'message/rfc822' },
        body: `Subject: ${domain}\r\n\r\nhello\r\n`,
      });
      expect(answer.status, await answer.text()).toBe(202);
    }
  }, 60_000);
  afterAll(() => stack.disposeAsync());

  /** The line of the only recipient of a domain. */
  const lineOf = (domain: string): Promise<string> =>
    waitFor(
      async () => (await fleet.maillog()).split('\n').find((line) => line.includes(`to=<b@${domain}>`)),
      30_000,
      `the outcome of ${domain}`,
    );

  test('smtp_helo_name, smtp_bind_address and smtp_tls_security_level are those of the transport', async () => {
    await peer.waitForMessages(3, 30_000);
    const sessionFor = (domain: string) =>
      peer.sessions.find(({ commands }) => commands.some((command) => command.includes(`<b@${domain}>`)));
    expect(sessionFor('plain.test')).toMatchObject({
      helo: 'plain.fleet.example',
      remoteAddress: '127.0.0.11',
      tls: undefined,
    });
    expect(sessionFor('secret.test')).toMatchObject({
      helo: 'secret.example',
      remoteAddress: '127.0.0.12',
      tls: expect.anything(),
    });
    expect(sessionFor('usual.test')).toMatchObject({ helo: 'fleet.test', tls: expect.anything() });
  });

  test('syslog_name of a transport, with service_name and process_name, is in its log lines', async () => {
    expect(await lineOf('plain.test')).toMatch(/ postfix\/plain\/smtp\[\d+\]: .*status=sent/);
    expect(await lineOf('usual.test')).toMatch(/ postfix\/smtp\[\d+\]: .*status=sent/);
  });

  test.each([
    ['gone.test', /postfix\/error\[\d+\]: .*relay=none, .*dsn=5\.1\.6, status=bounced \(moved away\)$/],
    ['hole.test', /postfix\/discard\[\d+\]: .*relay=none, .*dsn=2\.0\.0, status=sent \(into the void\)$/],
    ['later.test', /postfix\/error\[\d+\]: .*relay=none, .*dsn=4\.3\.2, status=deferred \(not today\)$/],
    ['pigeon.test', /dsn=4\.3\.0, status=deferred \(mail transport unavailable: .*pigeon\)$/],
  ])('mail for %s', async (domain, line) => {
    expect(await lineOf(domain)).toMatch(line);
  });

  test('config -M shows them', async () => {
    const { stdout } = await fleet.command(['config', '-M', 'retry']);
    expect(stdout).toBe('retry      unix  -       -       n       -       -       error\n');
  });
});
