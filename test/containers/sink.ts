/** Runs inside a container beside the fleet: takes all mail on port 2525 and tells over HTTP, on 8000, how often each recipient got some. */
import { createServer } from 'node:http';
import { startSmtpServer } from '../kit/src/smtp-server.ts';

const deliveries: Record<string, number> = {};
await startSmtpServer({
  host: '0.0.0.0',
  port: 2525,
  keepMessages: false,
  onMessage: ({ recipients }) => {
    for (const recipient of recipients) deliveries[recipient] = (deliveries[recipient] ?? 0) + 1;
  },
});
createServer((_, response) => response.end(JSON.stringify(deliveries))).listen(8000, '0.0.0.0');
