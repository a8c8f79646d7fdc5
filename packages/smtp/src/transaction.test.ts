/** What a transaction reports, and how far it runs ahead of the replies; its dialogues are in ../dialogues. */
import { type AddressInfo, createServer } from 'node:net';
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, expect, it } from 'vitest';
import { deliver } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

it('reports relay, reply and count of use', async () => {
  const server = await startSmtpServer();
  servers.push(server);
  const { outcomes, dots, results } = await deliver({
    servers: [server],
    requests: [['a@example.com', 'b@example.com'], ['c@example.com']],
  });
  const relay = `mx1.test[127.0.0.1]:${server.port}`;
  expect(
    outcomes.map(({ recipient, relay, connectionUse, action, remoteMta }) => ({
      recipient,
      relay,
      connectionUse,
      action,
      remoteMta,
    })),
  ).toEqual([
    { recipient: 0, relay, connectionUse: undefined, action: 'relayed', remoteMta: 'mx1.test' },
    { recipient: 1, relay, connectionUse: undefined, action: 'relayed', remoteMta: 'mx1.test' },
    { recipient: 0, relay, connectionUse: 2, action: 'relayed', remoteMta: 'mx1.test' },
  ]);
  expect(dots).toEqual([[0, 1], [0]]);
  expect(results[0]?.steps.map(({ step }) => step)).toEqual([
    'connected',
    'ehlo',
    'mail',
    'rcpt',
    'data',
    'dot',
  ]);
  expect(server.connections.total).toBe(1);
});

it('never has more than 4096 bytes of commands unanswered', async () => {
  const chunks: number[] = [];
  // Collects what arrives until the client falls silent, then answers all of it.
  const server = createServer((socket) => {
    let input = '';
    let content = false;
    let timer: NodeJS.Timeout | undefined;
    const answer = (): void => {
      if (content) {
        if (!input.endsWith('\r\n.\r\nQUIT\r\n')) return;
        socket.end('250 taken\r\n221 bye\r\n');
        return;
      }
      chunks.push(input.length);
      const commands = input.split('\r\n').slice(0, -1);
      content = commands.at(-1) === 'DATA';
      const replies = commands.map((command) => {
        if (command.startsWith('EHLO')) return '250-x\r\n250 PIPELINING\r\n';
        return command === 'DATA' ? '354 go\r\n' : '250 ok\r\n';
      });
      input = '';
      socket.write(replies.join(''));
    };
    socket.on('error', () => undefined).write('220 x\r\n');
    socket.on('data', (chunk) => {
      input += chunk.toString('latin1');
      clearTimeout(timer);
      timer = setTimeout(answer, 15);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const addresses = Array.from({ length: 300 }, (_, index) => `recipient${index}@example.com`);
  const { outcomes } = await deliver({
    servers: [{ host: '127.0.0.1', port }],
    requests: [addresses],
    config: { smtp_data_done_timeout: '3s' },
  });
  server.close();
  expect(outcomes.filter((outcome) => outcome.kind === 'delivered')).toHaveLength(300);
  const [, ...transaction] = chunks;
  expect(Math.max(...transaction)).toBeLessThanOrEqual(4096);
  // All but the last are as full as the next command allows.
  expect(Math.min(...transaction.slice(0, -1))).toBeGreaterThan(4096 - 45);
  expect(transaction.length).toBe(3);
});

it('a server that reads nothing while its replies wait to be read does not stop the client', async () => {
  // Replies of 2 kB to each of 400 recipients: far more than the buffers between the two hold.
  const server = createServer((socket) => {
    socket.on('error', () => undefined).write('220 x\r\n');
    let input = '';
    let content = false;
    socket.on('data', (chunk) => {
      input += chunk.toString('latin1');
      let replies = '';
      for (let end = input.indexOf('\r\n'); end >= 0; end = input.indexOf('\r\n')) {
        const line = input.slice(0, end);
        input = input.slice(end + 2);
        if (content) {
          content = line !== '.';
          if (!content) replies += '250 taken\r\n';
        } else if (line.startsWith('EHLO')) replies += '250-x\r\n250 PIPELINING\r\n';
        else if (line === 'DATA') {
          content = true;
          replies += '354 go\r\n';
        } else replies += `250 2.1.5 ${'ok '.repeat(650)}\r\n`;
      }
      if (!socket.write(replies)) {
        socket.pause();
        socket.once('drain', () => socket.resume());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { outcomes } = await deliver({
    servers: [{ host: '127.0.0.1', port }],
    requests: [Array.from({ length: 400 }, (_, index) => `recipient${index}@example.com`)],
    config: { smtp_rcpt_timeout: '5s', smtp_data_done_timeout: '5s' },
  });
  server.close();
  expect(outcomes.filter(({ kind }) => kind === 'delivered')).toHaveLength(400);
});
