// Decides on deputy's pages in a real browser, against "deputy demo".
//
//   node pages.mjs --deputy PATH --chromium PATH [--shots DIR]
//
// Prints one line a check and a closing "N passed, N failed".
import { execFile, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { mcp } from './rpc.mjs';

const string = { type: 'string' };
const { values: flags } = parseArgs({ options: { deputy: string, chromium: string, shots: string } });
const pathOf = (name) => path.join(flags.shots, `${name}.png`);
let passed = 0;
let failed = 0;
const check = (name, ok, got) => {
  if (ok) passed += 1; else failed += 1;
  console.log(`${ok ? 'ok   ' : 'FAIL '} page: ${name}${ok ? '' : `: ${got}`}`);
};

// people walks the pages of a person: with a code, a passkey in a virtual
// authenticator, out, in again, and a step-up; then looks at each page.
async function people(info) {
  const base = new URL(info.url).origin;
  const context = await browser.newContext({ viewport: { width: 900, height: 760 } });
  const page = await context.newPage();
  page.on('console', (m) => m.text().includes('Content Security Policy') && complaints.push(m.text()));
  // Our pages ask nobody else for anything; where a person is led away is another matter.
  page.on('request', (r) => {
    const ours = r.url().startsWith(base) || r.url().startsWith('data:');
    if (!ours && !r.isNavigationRequest() && r.frame().url().startsWith(base)) complaints.push(`a request to ${r.url()}`);
  });
  const device = await context.newCDPSession(page);
  await device.send('WebAuthn.enable');
  const { authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  const where = () => new URL(page.url()).pathname;
  const open = async () => {
    const { stdout } = await promisify(execFile)(flags.deputy, ['--home', info.home, '--json', 'approvals', 'open']);
    return JSON.parse(stdout).url;
  };
  const look = async (name, url, as = context) => {
    const jar = await as.storageState();
    for (const [kind, options] of Object.entries({
      light: { colorScheme: 'light', viewport: { width: 900, height: 760 } },
      dark: { colorScheme: 'dark', viewport: { width: 900, height: 760 } },
      phone: { colorScheme: 'light', viewport: { width: 360, height: 740 } },
      korean: { colorScheme: 'dark', viewport: { width: 360, height: 740 }, locale: 'ko-KR' },
    })) {
      const c = await browser.newContext({ ...options, storageState: jar });
      const p = await c.newPage();
      await p.goto(url);
      const wide = await p.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      check(`${name} fits (${kind})`, !wide, 'it scrolls sideways');
      if (kind === 'korean') check(`${name} is in Korean`, await p.evaluate(() => document.documentElement.lang) === 'ko', 'it is not');
      if (flags.shots) await p.screenshot({ path: pathOf(`${name}-${kind}`), fullPage: true });
      await c.close();
    }
  };

  await page.goto(`${base}/profile`);
  check('nobody has no profile', await page.isVisible('form.passkey'), await page.textContent('main'));
  await look('signin', `${base}/profile`);
  await page.goto(await open());
  await page.goto(`${base}/profile`);
  await look('profile-new', `${base}/profile`);
  await page.fill('input[name=name]', 'Test device');
  await page.click('form.passkey button');
  await page.waitForSelector('text=Test device');
  check('a passkey is added', where() === '/profile', page.url());
  await page.click('text=Sign out');
  await page.waitForURL('**/signin');
  await page.keyboard.press('Tab');
  await page.focus('form.passkey button');
  await page.keyboard.press('Enter'); // nothing needs a mouse
  await page.waitForURL('**/approvals');
  check('it signs in', (await page.textContent('h1')) === 'Approvals', await page.textContent('main'));
  await page.goto(`${base}/profile`);
  await page.click('form[action="/profile/recovery"] button');
  const codes = await page.locator('ol.codes code').allTextContents();
  check('ten recovery codes are shown', codes.length === 10, codes.length);
  if (flags.shots) await page.screenshot({ path: pathOf('recovery'), fullPage: true });
  await look('profile', `${base}/profile`);
  await look('sessions', `${base}/sessions`);
  await programs(base, page, look, check);

  await page.goto(await open()); // a code is less than the passkey
  await page.goto(`${base}/profile`);
  await page.click('form[action="/profile/recovery"] button');
  await page.waitForURL('**/signin/again?**');
  await look('stepup', page.url());
  await page.click('form.passkey button');
  await page.waitForURL('**/profile');
  await page.click('form[action="/profile/recovery"] button');
  check('a step-up lets it through', (await page.locator('ol.codes code').count()) === 10, await page.textContent('main'));

  await device.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.goto(`${base}/sessions`);
  await page.click('text=Sign out everywhere');
  await page.goto(`${base}/sessions`);
  check('signed out everywhere', await page.isVisible('form[action="/signin"]'), await page.textContent('main'));
  await page.click('form.passkey button');
  await page.waitForSelector('form.passkey [role=alert]:visible');
  check('without the person there is no sign-in', (await page.textContent('form.passkey [role=alert]')).includes('no passkey'), await page.textContent('main'));
  if (flags.shots) await page.screenshot({ path: pathOf('refused'), fullPage: true });

  const still = await browser.newContext({ javaScriptEnabled: false });
  const quiet = await still.newPage();
  await quiet.goto(`${base}/signin`);
  check('without script the code still signs in', await quiet.isVisible('input[name=code]') && !(await quiet.isVisible('form.passkey')), await quiet.textContent('main'));
  await quiet.click('footer a[lang=ko]');
  check('the language is chosen by a link', (await quiet.textContent('h1')) === '로그인', await quiet.textContent('h1'));
  await quiet.goto(`${base}/nowhere`);
  check('and remembered', (await quiet.textContent('h1')) === '찾을 수 없습니다', await quiet.textContent('h1'));
}

// A client registers itself, asks, is let in, and is thrown out.
async function programs(base, page, look, check) {
  const landed = [];
  const client = http.createServer((req, res) => { landed.push(req.url); res.end('<h1>back in the program</h1>'); }).listen(0, '127.0.0.1');
  await once(client, 'listening');
  const redirect = `http://127.0.0.1:${client.address().port}/back`;
  const post = (where, body, type) => fetch(base + where, { method: 'POST', headers: { 'content-type': type }, body });
  const { client_id } = await (await post('/oauth/register', JSON.stringify({ client_name: 'Night Shift', redirect_uris: [redirect], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'] }), 'application/json')).json();
  const verifier = crypto.randomBytes(32).toString('base64url');
  const ask = `${base}/oauth/authorize?${new URLSearchParams({
    response_type: 'code', client_id, redirect_uri: redirect, scope: 'gmail.read github.write', state: 's', resource: `${base}/mcp`,
    code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' })}`;
  await look('consent', ask);
  await page.goto(ask);
  await page.click('button[value=allow]');
  await page.waitForURL('**/back?**');
  const back = new URL(page.url()).searchParams;
  check('the answer names its issuer', back.get('iss') === base && back.get('state') === 's', page.url());
  const form = new URLSearchParams({ grant_type: 'authorization_code', code: back.get('code'), redirect_uri: redirect, client_id, code_verifier: verifier, resource: `${base}/mcp` });
  const { access_token } = await (await post('/oauth/token', form, 'application/x-www-form-urlencoded')).json();
  const mcp = () => fetch(`${base}/mcp`, { method: 'POST', headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } }) });
  check('the token opens the door', (await mcp()).status === 200, access_token ? 'it does not' : 'there is none');
  await look('agents', `${base}/agents`);
  await look('accounts', `${base}/accounts`);
  await page.goto(`${base}/agents`);
  await page.click('form[action="/agents/revoke"] button');
  check('a program is taken off the list', !(await page.textContent('main')).includes('Night Shift'), await page.textContent('main'));
  check('and its token is nothing', (await mcp()).status === 401, 'it still opens');
  client.close();
}

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dpt'));
const demo = spawn(flags.deputy, ['--json', 'demo', '--home', path.join(home, 'h'), '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
let browser;
const complaints = [];
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

  await people(info);
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
