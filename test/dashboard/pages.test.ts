/** The dashboard's pages in a real browser, over a real fleet: found, readable, without scripts or complaints. */
import { installed, startSmtpServer } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';

const executablePath = '/usr/bin/chromium';
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

describe.skipIf(!installed(['chromium']))('the dashboard in a browser', () => {
  let peer: Awaited<ReturnType<typeof startSmtpServer>>;
  let fleet: Fleet;
  let browser: Browser;
  let queueId = '';

  beforeAll(async () => {
    peer = await startSmtpServer({
      hooks: {
        rcpt: ({ recipient }) =>
          recipient?.startsWith('nobody') ? '550 5.1.1 no <i>such</i> user' : undefined,
      },
    });
    fleet = await startFleet({ parameters: { relayhost: `[127.0.0.1]:${peer.port}` } });
    browser = await chromium.launch({
      executablePath,
      args: flags.split(' '),
    });
    const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
    const { response } = await transport.sendMail({
      envelope: { from: 'alice@example.org', to: ['bob@example.net', 'nobody@example.net'] },
      subject: 'x',
      text: 'x',
    });
    queueId = /queued as (\w+)/.exec(response)?.[1] ?? '';
    await peer.waitForMessages(2, 30_000);
  });

  afterAll(async () => {
    await browser?.close();
    await fleet?.[Symbol.asyncDispose]();
    await peer?.close();
  });

  /** Opens a page of the dashboard; what the browser complains of is kept. */
  async function open(path: string, width = 1200): Promise<{ page: Page; complaints: readonly string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 800 } });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`${fleet.dashboardUrl}${path}`);
    return { page, complaints };
  }

  test('a message is found by its queue id after it was delivered, with its story', async () => {
    const { page, complaints } = await open('/');
    await page.getByLabel('Queue id').fill(queueId);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.waitForURL(`**/messages/${queueId}`);
    // The notice has been delivered, but the end of the pass may still be on its way to the timeline.
    const titles = async (): Promise<readonly string[]> => {
      await page.reload();
      return page.locator('.timeline h3').allTextContents();
    };
    await expect
      .poll(titles, { timeout: 20_000 })
      .toEqual(expect.arrayContaining(['accepted', 'delivery attempt', 'notified']));
    const text = (await page.locator('main').textContent()) ?? '';
    expect(text).toContain('1 of 2 delivered');
    expect(text).toContain('550 5.1.1 no <i>such</i> user');
    expect(await page.locator('.outcome.delivered .address').textContent()).toBe('bob@example.net');
    expect(await page.locator('.outcome.bounced .address').textContent()).toBe('nobody@example.net');
    expect(await page.locator('main i').count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.close();
  });

  test.each(['/', '/messages', '/messages/nothing'])('%s fits a phone', async (path) => {
    const { page } = await open(path, 360);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.close();
  });

  test('a message’s page fits a phone', async () => {
    const { page } = await open(`/messages/${queueId}`, 360);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.close();
  });

  test('bull-board shows the job queues', async () => {
    const { page } = await open('/jobs');
    await page.getByText('delivery', { exact: false }).first().waitFor();
    await page.close();
  });
});
