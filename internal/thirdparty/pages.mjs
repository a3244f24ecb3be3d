// Decides on deputy's pages in a real browser, against "deputy demo".
//
//   node pages.mjs --deputy PATH --chromium PATH [--shots DIR]
//
// Prints one line a check and a closing "N passed, N failed".
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { mcp } from './rpc.mjs';

const string = { type: 'string' };
const { values: flags } = parseArgs({ options: { deputy: string, chromium: string, shots: string } });
let passed = 0;
let failed = 0;
const check = (name, ok, got) => {
  if (ok) passed += 1; else failed += 1;
  console.log(`${ok ? 'ok   ' : 'FAIL '} page: ${name}${ok ? '' : `: ${got}`}`);
};

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dpt'));
const demo = spawn(flags.deputy, ['--json', 'demo', '--home', path.join(home, 'h'), '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
let browser;
try {
  const info = JSON.parse(await new Promise((ok) => demo.stdout.once('data', (d) => ok(String(d)))));
  const call = await mcp(info.url, info.bearer);
  const ask = async (message) => (await call('slack_send_message', { channel_id: 'C0LAUNCH01', message })).structuredContent;
  const standing = async (id) => (await call('approval_wait', { approval_id: id, max_seconds: 10 })).structuredContent;

  browser = await chromium.launch({
    executablePath: flags.chromium,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const desk = await browser.newContext({ viewport: { width: 900, height: 760 }, javaScriptEnabled: false });
  const page = await desk.newPage();
  const complaints = [];
  page.on('console', (m) => m.text().includes('Content Security Policy') && complaints.push(m.text()));
  const shot = async (name, p = page) => flags.shots && p.screenshot({ path: path.join(flags.shots, `${name}.png`), fullPage: true });

  const yes = await ask('At ten, then. <b>bold?</b> 목요일');
  await page.goto(yes.url);
  check('without signing in, nothing is shown', !(await page.textContent('body')).includes('At ten'), await page.textContent('body'));
  await page.goto(info.approvals);
  check('the link signs in and shows what waits', (await page.textContent('main')).includes('Send a Slack message'), await page.textContent('main'));
  await shot('inbox');
  await page.goto(yes.url);
  const text = await page.textContent('main');
  check('the request shows its text as text', text.includes('At ten, then. <b>bold?</b> 목요일') && text.includes(yes.match_code), text);
  await shot('request');
  await page.click('button[value=approve]');
  check('approving sends it', (await page.textContent('main')).includes('Done at'), await page.textContent('main'));
  const done = await standing(yes.approval_id);
  check('the assistant gets the outcome', done.status === 'done', JSON.stringify(done));
  await shot('done');

  const no = await ask('Not this');
  await page.goto(no.url);
  await page.fill('input[name=reason]', 'Mia decides');
  await page.click('button[value=deny]');
  const denied = await standing(no.approval_id);
  check('denying tells the assistant why', denied.status === 'denied' && denied.reason.includes('Mia decides'), JSON.stringify(denied));

  const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark', storageState: await desk.storageState() });
  const small = await phone.newPage();
  const third = await ask('On the phone');
  await small.goto(third.url);
  const wide = await small.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  check('nothing is cut off on a phone', !wide, 'it scrolls sideways');
  await shot('phone', small);

  const evil = await (await browser.newContext({ storageState: await desk.storageState() })).newPage();
  await evil.setContent(`<form method="post" action="${third.url}"><button name="decision" value="approve">Win</button></form>`);
  await Promise.all([evil.waitForNavigation(), evil.click('button')]);
  const after = await standing(third.approval_id).catch(() => ({}));
  check('another page cannot decide', after.status === 'pending', JSON.stringify(after));
  check('no page breaks its content security policy', complaints.length === 0, complaints.join('; '));
} catch (e) {
  check('runs to its end', false, e.stack);
} finally {
  await browser?.close();
  demo.kill();
  fs.rmSync(home, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
