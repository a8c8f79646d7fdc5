/** The dialogues in ../dialogues, one file for each behaviour: what is said, and what becomes of the mail. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CertificateAuthority,
  makeCertificates,
  refusingPort,
  type SmtpServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliver, hostsOf } from './test-agent.ts';
import { type Dialogue, type DialogueHost, parseDialogues } from './test-dialogue.ts';

const folder = join(import.meta.dirname, '../dialogues');
const files = readdirSync(folder)
  .sort()
  .map((file) => ({ file, dialogues: parseDialogues(file, readFileSync(join(folder, file), 'utf8')) }));

let authority: CertificateAuthority;
let tls: { cert: string; key: string };

beforeAll(() => {
  authority = makeCertificates();
  tls = authority.issue(['mx1.test', 'mx2.test']);
});

afterAll(() => authority.remove());

/** Nobody listens, or a server that plays its part of the dialogue. */
const startHost = async ({
  refuses,
  scripts,
}: DialogueHost): Promise<SmtpServer | { host: string; port: number }> =>
  refuses ? { host: '127.0.0.1', port: refusingPort() } : await startSmtpServer({ scripts, tls });

const play = async (dialogue: Dialogue): Promise<string[]> => {
  const servers = await Promise.all(dialogue.hosts.map(startHost));
  const waitedMs = 1000 * dialogue.waitedSeconds;
  try {
    const all = hostsOf(servers).map((host, index) => ({
      ...host,
      destination: dialogue.hosts[index]?.destination,
    }));
    const result = await deliver({
      protocol: dialogue.protocol,
      config: Object.fromEntries(
        Object.entries(dialogue.config).map(([name, value]) => [
          name,
          value.replace('$CAfile', authority.ca.certFile),
        ]),
      ),
      findHosts: async (destination) => {
        const hosts = all.filter((host) => host.destination === destination);
        return hosts.length === 0
          ? { kind: 'failed', status: '5.4.4', reason: `${destination} is not there` }
          : { kind: 'found', hosts, finalNexthop: false };
      },
      recipients: dialogue.requests.map((recipients) =>
        recipients.length === 0 ? [{ address: 'one@example.com' }] : recipients,
      ),
      envelope: { ...dialogue.envelope, arrivalMs: Date.now() - waitedMs },
      waitedMs,
      ...(dialogue.content === undefined ? {} : { content: Buffer.from(dialogue.content, 'latin1') }),
      ...(dialogue.isMailPort ? { environment: { mailPort: servers.at(-1)?.port ?? 25 } } : {}),
    });
    for (const server of servers) if ('dialogueDone' in server) await server.dialogueDone();
    return [
      ...result.outcomes.map(({ address, relay, kind, status, reason }) =>
        `=> ${address} ${relay.replace(/\[.*/, '')} ${kind} ${status} ${reason}`.trimEnd(),
      ),
      ...result.remarks.map((text) => `log: ${text}`),
      ...(result.results.some(({ hopStatus }) => hopStatus !== undefined) ? ['throttled'] : []),
      ...result.returned.map((queueId) => `untried: ${queueId}`),
    ].map((line) => servers.reduce((text, { port }) => text.replaceAll(`:${port}`, ':PORT'), line));
  } finally {
    await Promise.all(servers.map((server) => ('close' in server ? server.close() : undefined)));
  }
};

const order = ['=>', 'log:', 'throttled', 'untried:'];
const rank = (line: string): number => order.findIndex((word) => line.startsWith(word));

describe.each(files)('$file', ({ dialogues }) => {
  it.concurrent.each(dialogues)('$name', async (dialogue) => {
    const expected = dialogue.expected.toSorted((one, other) => rank(one) - rank(other));
    expect(await play(dialogue)).toEqual(expected);
  });
});

it('each dialogue has a name of its own in its file, and says what comes of it', () => {
  for (const { file, dialogues } of files) {
    const names = dialogues.map(({ name }) => name);
    expect(new Set(names).size, file).toBe(names.length);
    for (const { name, expected } of dialogues) expect(expected, `${file}: ${name}`).not.toEqual([]);
  }
});
