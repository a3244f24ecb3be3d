// The official TypeScript clients complete the whole OAuth dance against
// "deputy demo", headlessly: from the first 401 through the protected resource's
// metadata, registration, sign-in, consent and code to a tool's answer; a
// refresh; and nothing after it was taken back.
//
//   node oauth.mjs --deputy PATH
//
// Prints one line a check and a closing "N passed, N failed".
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Client as Modern, StreamableHTTPClientTransport as ModernHTTP } from '@modelcontextprotocol/client';
import { Client as Legacy } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyHTTP } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Jar, agree, visit } from './jar.mjs';

const { values: flags } = parseArgs({ options: { deputy: { type: 'string' } } });
let passed = 0;
let failed = 0;
const check = (name, ok, got) => {
  if (ok) passed += 1; else failed += 1;
  console.log(ok ? `ok    oauth: ${name}` : `FAIL  oauth: ${name}: ${got}`);
};

const redirect = 'http://127.0.0.1:1/callback'; // never opened: the walk stops before it

// provider is what a client program keeps. Its browser is the jar of a person
// who is signed in.
const provider = (name, jar) => ({
  code: undefined, kept: {},
  get redirectUrl() { return redirect; },
  get clientMetadata() {
    return { client_name: name, redirect_uris: [redirect], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none' };
  },
  state: () => 'some-state',
  clientInformation() { return this.kept.client; },
  saveClientInformation(v) { this.kept.client = v; },
  tokens() { return this.kept.tokens; },
  saveTokens(v) { this.kept.tokens = v; },
  saveDiscoveryState(v) { this.kept.discovery = v; },
  discoveryState() { return this.kept.discovery; },
  saveCodeVerifier(v) { this.kept.verifier = v; },
  codeVerifier() { return this.kept.verifier; },
  invalidateCredentials() { this.kept = {}; },
  async redirectToAuthorization(url) {
    this.asked = url.searchParams;
    const page = await agree(jar, url.href, (next) => next.startsWith(redirect));
    this.consented = page.asked;
    const back = new URL(page.url).searchParams;
    this.code = back.get('code');
    this.params = back;
  },
});

// taken gives the answer's parameters away, once.
const taken = (p) => { const { params } = p; p.code = undefined; return params; };

const eras = {
  legacy: { make: () => new Legacy({ name: 'dance', version: '1' }), wire: (url, p) => new LegacyHTTP(url, { authProvider: p }), finish: (w, p) => w.finishAuth(taken(p).get('code')) },
  modern: { make: () => new Modern({ name: 'dance', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } }), wire: (url, p) => new ModernHTTP(url, { authProvider: p }), finish: (w, p) => w.finishAuth(taken(p)) }, // it checks iss (RFC 9207)
};

// through connects, and where the client says that its person has to agree,
// brings it the code and connects again.
async function through(era, url, p) {
  let wire = eras[era].wire(url, p);
  let client = eras[era].make();
  try {
    await client.connect(wire);
  } catch (err) {
    if (!p.code) throw err;
    await eras[era].finish(wire, p);
    wire = eras[era].wire(url, p);
    client = eras[era].make();
    await client.connect(wire);
  }
  return { client, wire };
}

async function dance(era, info, order) {
  const url = new URL(info.url);
  const jar = new Jar();
  await visit(jar, JSON.parse(await order('approvals', 'open')).url);
  const p = provider(`Dancer ${era}`, jar);
  const { client } = await through(era, url, p);
  check(`${era}: it registered, was asked about, and connected`, p.kept.client?.client_id && p.consented && p.kept.tokens?.access_token, JSON.stringify(Object.keys(p.kept)));
  check(`${era}: it named the resource and S256`, p.asked.get('resource') === info.url && p.asked.get('code_challenge_method') === 'S256', String(p.asked));
  const read = await client.callTool({ name: 'github_list_issues', arguments: { owner: 'octo-anna', repo: 'harbor' } });
  check(`${era}: a tool answers`, read.structuredContent?.items?.length > 0, JSON.stringify(read).slice(0, 200));
  check(`${era}: its token says what it covers`, /github\.write/.test(p.kept.tokens.scope), p.kept.tokens.scope);
  const wrote = await client.callTool({ name: 'github_issue_write', arguments: { method: 'create', owner: 'octo-anna', repo: 'harbor', title: `By ${era}` } });
  check(`${era}: a write is asked about all the same`, wrote.structuredContent?.status === 'approval_required', JSON.stringify(wrote).slice(0, 300));

  // A refresh: the same client, once its access token is nothing.
  const token = p.kept.tokens.access_token;
  p.kept.tokens = { ...p.kept.tokens, access_token: 'spoilt' };
  const { client: later } = await through(era, url, p);
  check(`${era}: a spoilt token is refreshed`, p.kept.tokens.access_token !== 'spoilt' && p.kept.tokens.access_token !== token, 'it is not');
  await later.close();

  const agents = JSON.parse(await order('agents')).agents;
  check(`${era}: its person sees it`, agents.some((a) => a.client === p.kept.client.client_id), JSON.stringify(agents));
  await order('agents', 'revoke', p.kept.client.client_id);
  const knock = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${p.kept.tokens.access_token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
  check(`${era}: taken back, its token is nothing`, knock.status === 401, knock.status);
  await client.close().catch(() => {});
}

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dpt'));
const demo = spawn(flags.deputy, ['--json', 'demo', '--home', path.join(home, 'h'), '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  const info = JSON.parse(await new Promise((ok) => demo.stdout.once('data', (d) => ok(String(d)))));
  const order = async (...args) => (await promisify(execFile)(flags.deputy, ['--home', info.home, '--json', ...args])).stdout;
  for (const era of Object.keys(eras)) {
    await dance(era, info, order).catch((err) => check(`${era}: the dance`, false, err.stack));
  }
} finally {
  demo.kill();
  fs.rmSync(home, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
