/** A fleet that asks the name servers of dns_servers: MX records, their order, and the host that is left when the best one is shut. */
import { startDnsServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { startFleet } from '../fleet/fleet.ts';

test('mail goes to the hosts that dns_servers name', async () => {
  await using best = await startSmtpServer({ host: '127.0.0.2', hooks: { greeting: '421 4.3.2 busy' } });
  await using other = await startSmtpServer({ host: '127.0.0.3', port: best.port });
  await using dns = await startDnsServer({
    zones: {
      'd.test': { MX: ['20 m2.test', '10 m1.test'] },
      'm1.test': { A: best.host },
      'm2.test': { A: other.host },
    },
  });
  await using fleet = await startFleet({
    parameters: {
      dns_servers: dns.address,
      inet_protocols: 'ipv4',
      transport_maps: `inline:{ d.test=smtp:d.test:${best.port} }`,
    },
  });
  const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
  await transport.sendMail({ from: 'a@example.org', to: 'b@d.test', subject: 'dns', text: 'hello' });
  transport.close();
  await other.waitForMessages(1, 30_000);
  expect(best.connections.total).toBe(1);
  const line = await waitFor(
    async () => /relay=.*status=.*/.exec(await fleet.maillog())?.[0],
    10_000,
    'the outcome in the mail log',
  );
  expect(line).toMatch(new RegExp(`^relay=m2\\.test\\[127\\.0\\.0\\.3\\]:${best.port}, .*status=sent`));
  expect(dns.queries.map(({ name, type }) => `${name} ${type}`)).toEqual([
    'd.test MX',
    'm1.test A',
    'm2.test A',
  ]);
});
