/** Every class of reply to every command, with and without pipelining, SMTP and LMTP: what becomes of the recipient, and of the next host. */
import { type Hooks, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, describe, expect, it } from 'vitest';
import { deliver } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const start = async (options: Parameters<typeof startSmtpServer>[0]): Promise<SmtpServer> => {
  const server = await startSmtpServer(options);
  servers.push(server);
  return server;
};

const stageText = {
  mail: 'MAIL FROM command',
  rcpt: 'RCPT TO command',
  data: 'DATA command',
  dot: 'end of DATA command',
} as const;
type Stage = keyof typeof stageText;

/** reply, verdict, next host tried, prefix of the reason */
const replies: readonly [string, string, boolean, string][] = [
  ['150 hm', 'bounced 5.5.0', false, ''],
  ['350 hm', 'bounced 5.5.0', false, ''],
  ['250 hm', 'bounced 5.5.0', false, 'Protocol error: '],
  ['450 4.1.1 hm', 'deferred 4.1.1', true, ''],
  ['450 hm', 'deferred 4.0.0', true, ''],
  ['421 4.3.2 hm', 'deferred 4.3.2', true, ''],
  ['452 4.5.3 hm', 'deferred 4.5.3', true, ''],
  ['550 5.1.1 hm', 'bounced 5.1.1', false, ''],
  ['550 4.1.1 hm', 'bounced 5.0.0', false, ''],
  ['552 5.2.2 hm', 'bounced 5.2.2', false, ''],
  ['650 4.1.1 hm', 'bounced 5.5.0', false, ''],
  ['550-5.7.1 one\n550 5.7.2 two', 'bounced 5.7.2', false, ''],
  ['450-5.7.1 one\n550-4.7.2 two\n451 4.7.3 three', 'deferred 4.7.3', true, ''],
];

/** What the stage wants to hear is no refusal. */
const isWanted = (stage: Stage, reply: string): boolean =>
  stage === 'data' ? reply.startsWith('3') : reply.startsWith('2');

describe.each([
  { protocol: 'smtp', pipelining: true },
  { protocol: 'smtp', pipelining: false },
  { protocol: 'lmtp', pipelining: true },
  { protocol: 'lmtp', pipelining: false },
] as const)('$protocol, pipelining $pipelining', ({ protocol, pipelining }) => {
  const keywords = pipelining ? ['PIPELINING'] : [];
  describe.each(['mail', 'rcpt', 'data', 'dot'] as const)('%s', (stage) => {
    it.each(replies.filter(([reply]) => !isWanted(stage, reply)))(
      '%j',
      async (reply, verdict, next, prefix) => {
        const hooks: Hooks = { [stage]: reply };
        const [only, first, second] = await Promise.all([
          start({ protocol, keywords, hooks }),
          start({ protocol, keywords, hooks }),
          start({ protocol, keywords }),
        ]);
        const alone = await deliver({ protocol, servers: [only] });
        const said = `${prefix}host mx1.test[127.0.0.1] said: ${reply.replaceAll('\n', ' ')} (in reply to ${stageText[stage]})`;
        expect(alone.verdicts).toEqual([`${verdict} ${said}`]);
        expect(alone.results[0]?.hopStatus).toBeUndefined();
        const withNext = await deliver({ protocol, servers: [first, second] });
        expect(second.messageCount).toBe(next ? 1 : 0);
        expect(withNext.verdicts).toEqual([
          next ? expect.stringMatching(/^delivered /) : `${verdict} ${said}`,
        ]);
        expect(withNext.remarks).toEqual(next ? [`Q1: ${said}`] : []);
      },
    );
  });
});
