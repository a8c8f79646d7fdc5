import { afterAll, beforeAll, expect, it } from 'vitest';
import { dialogue, type RunningIntake, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
let intake: RunningIntake;

beforeAll(async () => {
  store = await startStore();
  intake = await startIntake(store);
});

afterAll(async () => {
  await intake?.[Symbol.asyncDispose]();
  await store?.[Symbol.asyncDispose]();
});

it('takes a message and says its queue id', async () => {
  const replies = await dialogue(intake.daemon.smtpPort, [
    'EHLO client.test',
    'MAIL FROM:<ann@example.com> BODY=8BITMIME RET=HDRS ENVID=QQ+2B1',
    'RCPT TO:<bob@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2Bx@example.net',
    'DATA',
    Buffer.from('Subject: hi\r\n\r\n..dot\r\nbare\nline\r\n.\r\n'),
    'QUIT',
  ]);
  console.log(replies);
  console.log(await intake.stored(), intake.events);
  const [, queueId = ''] = /queued as (\w+)/.exec(replies[5] ?? '') ?? [];
  console.log(await intake.content(queueId));
  expect(replies[5]).toMatch(/^250 2\.0\.0 Ok: queued as \w+$/);
});
