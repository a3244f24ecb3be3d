// A company's OpenID provider (oidc-provider) in front of deputy: people sign in
// with it, and its access tokens open /mcp (RFC 9068), within their scopes, once
// the person has signed in strongly enough (RFC 9470).
//
//   node company.mjs --deputy PATH
//
// Prints one line a check and a closing "N passed, N failed".
import { execFile, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Provider, errors, interactionPolicy } from 'oidc-provider';
import { Jar, visit } from './jar.mjs';

const { values: flags } = parseArgs({ options: { deputy: { type: 'string' } } });
let passed = 0;
let failed = 0;
const check = (name, ok, got) => {
  if (ok) passed += 1; else failed += 1;
  console.log(ok ? `ok    company: ${name}` : `FAIL  company: ${name}: ${got}`);
};

const freePort = () => new Promise((ok) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => ok(port)); });
});

const [here, there] = [await freePort(), await freePort()];
const url = `http://localhost:${here}`;
const mcp = `${url}/mcp`;
const issuer = `http://127.0.0.1:${there}`;
const redirect = 'http://127.0.0.1:1/callback';
const [weak, strong] = ['urn:example:password', 'urn:example:key'];

// The provider signs everybody in as anna, in the way that is asked for, and
// again when a session was made in a weaker one.
function company() {
  const policy = interactionPolicy.base();
  policy.get('login').checks.add(new interactionPolicy.Check('weak', 'the session is not among acr_values', 'unmet_authentication_requirements', (ctx) => {
    const wanted = ctx.oidc.params.acr_values?.split(' ');
    return Boolean(wanted && ctx.oidc.session.acr && !wanted.includes(ctx.oidc.session.acr) && !ctx.oidc.result?.login);
  }));
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const op = new Provider(issuer, {
    clients: [
      { client_id: 'deputy', client_secret: 'deputy-secret', redirect_uris: [`${url}/signin/oidc/callback`] },
      { client_id: 'assistant', token_endpoint_auth_method: 'none', redirect_uris: [redirect] },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'company' }] },
    cookies: { keys: ['for tests'] },
    acrValues: [weak, strong],
    claims: { openid: ['sub'], acr: null, auth_time: null },
    scopes: ['openid', 'github.read', 'github.write'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    async loadExistingGrant(ctx) {
      const { client, session, params, resourceServers } = ctx.oidc;
      const grant = new op.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      for (const r of Object.keys(resourceServers ?? {})) grant.addResourceScope(r, params.scope);
      await grant.save();
      return grant;
    },
    extraTokenClaims(ctx) {
      const { AuthorizationCode: code } = ctx.oidc.entities;
      return { auth_time: code.authTime, acr: code.acr };
    },
    ttl: { AccessToken: 600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 600 },
    interactions: { policy, url: (_, { uid }) => `/sign-in/${uid}` },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => false,
        getResourceServerInfo(_, indicator) {
          if (indicator !== mcp) throw new errors.InvalidTarget();
          return { scope: 'github.read github.write', audience: mcp, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        },
      },
    },
  });
  op.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/sign-in/')) return next();
    const { params } = await op.interactionDetails(ctx.req, ctx.res);
    ctx.respond = false;
    return op.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'anna', acr: (params.acr_values ?? weak).split(' ')[0] } }, { mergeWithLastSubmission: true });
  });
  op.on('server_error', (_, err) => console.error(err));
  return new Promise((ok) => { const s = op.listen(there, '127.0.0.1', () => ok(s)); });
}

// token walks the code flow as the assistant, in the person's browser.
async function token(jar, scope, more = {}) {
  const verifier = crypto.randomBytes(32).toString('base64url');
  const page = await visit(jar, `${issuer}/auth?${new URLSearchParams({
    response_type: 'code', client_id: 'assistant', redirect_uri: redirect, scope: `openid ${scope}`, resource: mcp, state: 's',
    code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256', ...more,
  })}`, { stop: (next) => next.startsWith(redirect) });
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'assistant', redirect_uri: redirect, code: new URL(page.url).searchParams.get('code'), code_verifier: verifier, resource: mcp }),
  });
  return (await answer.json()).access_token;
}

// knock sends one request and gives the status and the challenge in parts.
async function knock(bearer, message = { method: 'tools/list', params: {} }) {
  const answer = await fetch(mcp, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
  });
  await answer.body?.cancel();
  const challenge = answer.headers.get('www-authenticate') ?? '';
  return { status: answer.status, challenge, ...Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, v])) };
}

async function connected(bearer) {
  const client = new Client({ name: 'assistant', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(mcp), { requestInit: { headers: { authorization: `Bearer ${bearer}` } } }));
  return client;
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dpt'));
const server = await company();
fs.writeFileSync(path.join(dir, 'deputy.yaml'), `home: ${dir}/home
key: env:DEPUTY_TEST_KEY
listen: 127.0.0.1:${here}
public_url: ${url}
user: anna
login: {issuer: "${issuer}", client_id: deputy, client_secret: env:DEPUTY_TEST_SECRET, allow: ["sub:anna"]}
access: {issuer: "${issuer}", acr_values: ["${strong}"], max_age: 5m}
approvals: {channels: [client, page, cli]}
`, { mode: 0o600 });
const env = { ...process.env, DEPUTY_TEST_KEY: 'ab'.repeat(32), DEPUTY_TEST_SECRET: 'deputy-secret' };
const deputy = spawn(flags.deputy, ['--config', path.join(dir, 'deputy.yaml'), 'serve'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
try {
  for (let i = 0; i < 100 && !await fetch(`${url}/healthz`).then((r) => r.ok, () => false); i += 1) await new Promise((ok) => { setTimeout(ok, 50); });
  const jar = new Jar();
  const before = await token(jar, 'github.read', { acr_values: strong });
  check('a person whom deputy does not know is nobody', (await knock(before)).status === 401, 'let in');

  const signed = await visit(jar, `${url}/signin/oidc`);
  check('the person signs in to deputy with the company', signed.status === 200 && new URL(signed.url).host === new URL(url).host, `${signed.status} ${signed.url}: ${signed.body.slice(0, 500)}`);

  const meta = await (await fetch(`${url}/.well-known/oauth-protected-resource/mcp`)).json();
  check('the metadata names the company', meta.authorization_servers.includes(issuer), JSON.stringify(meta));

  // Another browser: its session at the company is a weak one.
  const desk = new Jar();
  const low = await knock(await token(desk, 'github.read'));
  check('a weak sign-in is told what it takes', low.status === 401 && low.error === 'insufficient_user_authentication' && low.acr_values === strong && low.max_age === '300', JSON.stringify(low));

  const bearer = await token(desk, 'github.read', { acr_values: low.acr_values, max_age: low.max_age });
  const client = await connected(bearer);
  const { tools } = await client.listTools();
  check('stepped up, it lists', tools.some((t) => t.name === 'github_list_issues'), JSON.stringify(tools.map((t) => t.name)));
  await client.close();

  const narrow = await knock(bearer, { method: 'tools/call', params: { name: 'github_issue_write', arguments: { method: 'create', owner: 'octo-anna', repo: 'harbor', title: 'hi' } } });
  check('a write takes its scope', narrow.status === 403 && narrow.error === 'insufficient_scope' && narrow.scope.split(' ').includes('github.write'), JSON.stringify(narrow));
  const wider = await token(desk, narrow.scope.split(' ').filter((s) => s.startsWith('github.')).join(' '), { acr_values: strong });
  const writer = await connected(wider);
  const asked = await writer.callTool({ name: 'github_issue_write', arguments: { method: 'create', owner: 'octo-anna', repo: 'harbor', title: 'hi' } });
  check('with it, the write comes as far as an account to connect', asked.structuredContent?.status === 'connection_required', JSON.stringify(asked).slice(0, 300));
  await writer.close();

  const { stdout } = await promisify(execFile)(flags.deputy, ['--config', path.join(dir, 'deputy.yaml'), 'audit', 'export'], { env });
  check('the log names person and program', stdout.split('\n').some((l) => /"event":"call"/.test(l) && /"user":"oidc-anna"/.test(l) && /assistant/.test(l)), stdout.slice(-800));
} catch (err) {
  check('the round', false, err.stack);
} finally {
  deputy.kill();
  server.close();
  server.closeAllConnections();
  fs.rmSync(dir, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
