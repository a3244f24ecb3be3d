// Walks a provider's consent page without a browser.
//
//   import { connect } from './consent.mjs';
//   await connect({ start: 'http://localhost:8787/connect/google', provider: 'google',
//                   user: 'anna@example.test', jar });
//
// start may be deputy's /connect/{provider} or an authorize URL itself. The
// jar carries deputy's cookies there and back, as a browser would. On the
// emulator's page the user is picked by e-mail (Google), login (GitHub) or
// name (Slack), and the page's own form is sent: state, scope and the PKCE
// challenge travel as the page wrote them. Deputy's own page in between, if it
// shows one, is agreed to.
//
// As a program, it signs in and connects several accounts:
//
//   node consent.mjs --url http://localhost:8787 --signin http://localhost:8787/signin?code=… \
//     --connect google=anna@example.test --connect slack=anna --connect github=anna [--query google='for=…']
//     [--bearer]     also walk deputy's own OAuth endpoints and print an access token
import { createHash, randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Jar, forms, visit } from './jar.mjs';

const pages = {
  google: { path: '/o/oauth2/v2/auth', field: 'email' },
  github: { path: '/login/oauth/authorize', field: 'login' },
  slack: { path: '/oauth/v2/authorize', field: 'user_id' },
};

// connect returns the last page: {status, url, body, trail}. It throws where
// the walk cannot go on; a refusal by deputy is a page with its status.
export async function connect({ start, provider, user, jar = new Jar() }) {
  const home = new URL(start).origin;
  const { path, field } = pages[provider] ?? fail(`no provider "${provider}"`);
  const trail = [];
  let page = await visit(jar, start);
  for (let step = 0; step < 5; step++) {
    trail.push(...page.trail);
    const here = new URL(page.url);
    if (here.pathname === path) {
      const choices = forms(page.body, page.url);
      const chosen = choices.find((f) => f.fields[field] === user || f.text.includes(user));
      if (!chosen) fail(`${provider}: ${page.status} at ${here.pathname}: no "${user}" to choose: ${brief(page.body)}`, trail);
      page = await visit(jar, chosen.action, { from: page.url, form: chosen.fields });
      trail.push(...page.trail);
      return { ...page, trail };
    }
    if (page.status !== 200) fail(`${provider}: ${page.status} at ${page.url}: ${brief(page.body)}`, trail);
    const own = forms(page.body, page.url).find((f) => f.method === 'POST' && new URL(f.action).origin === home && new URL(f.action).pathname.startsWith('/connect/'));
    const link = page.body.match(/href="([^"]*(?:\/o\/oauth2\/v2\/auth|\/login\/oauth\/authorize|\/oauth\/v2\/authorize)\?[^"]*)"/);
    if (own) page = await visit(jar, own.action, { from: page.url, form: own.fields });
    else if (link) page = await visit(jar, link[1].replaceAll('&amp;', '&'), { from: page.url });
    else fail(`${provider}: no way on from ${page.url}: ${brief(page.body)}`, trail);
  }
  return fail(`${provider}: the consent page never came`, trail);
}

// bearer gets an access token for deputy's /mcp from deputy's own
// authorization server, as an MCP client would: metadata, registration, code
// with PKCE. The jar must hold a signed-in session.
export async function bearer({ url, jar, client }) {
  const json = async (r) => (r.ok ? r.json() : fail(`${r.url}: ${r.status} ${brief(await r.text())}`));
  const resource = await json(await fetch(`${url}/.well-known/oauth-protected-resource/mcp`));
  const issuer = resource.authorization_servers[0];
  const server = await json(await fetch(`${issuer.replace(/\/$/, '')}/.well-known/oauth-authorization-server`));
  const redirect = 'http://127.0.0.1:1/callback'; // never opened: the walk stops before it
  client ??= (await json(await fetch(server.registration_endpoint ?? fail('no registration endpoint; give --client'), {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'third-party tests', redirect_uris: [redirect], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] }),
  }))).client_id;
  const verifier = randomBytes(32).toString('base64url');
  const state = randomBytes(16).toString('base64url');
  const ask = new URLSearchParams({
    response_type: 'code', client_id: client, redirect_uri: redirect, state, resource: resource.resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  if (resource.scopes_supported?.length) ask.set('scope', resource.scopes_supported.join(' '));
  const stop = (next) => next.startsWith(redirect);
  let page = await visit(jar, `${server.authorization_endpoint}?${ask}`, { stop });
  for (let step = 0; step < 3 && !stop(page.url); step++) { // deputy's consent page
    const form = forms(page.body, page.url).find((f) => f.method === 'POST') ?? fail(`authorize: ${page.status} at ${page.url}: ${brief(page.body)}`);
    page = await visit(jar, form.action, { from: page.url, form: form.fields, stop });
  }
  const back = new URL(page.url).searchParams;
  if (back.get('state') !== state || !back.get('code')) fail(`authorize: ended at ${page.url}`);
  const answer = await json(await fetch(server.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code: back.get('code'), redirect_uri: redirect, client_id: client, code_verifier: verifier, resource: resource.resource }),
  }));
  return answer.access_token;
}

const brief = (html) => html.replace(/<(style|script)\b[\s\S]*?<\/\1>/gi, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 300);

function fail(message, trail) {
  throw new Error(trail ? `${message}\n  ${trail.join('\n  ')}` : message);
}

async function main() {
  const string = { type: 'string' };
  const many = { type: 'string', multiple: true, default: [] };
  const { values: flags } = parseArgs({ options: { url: string, signin: string, client: string, connect: many, query: many, bearer: { type: 'boolean' } } });
  if (!flags.url) fail('--url is needed');
  const jar = new Jar();
  if (flags.signin) {
    const page = await visit(jar, flags.signin);
    if (page.status !== 200) fail(`sign-in: ${page.status} at ${page.url}: ${brief(page.body)}`, page.trail);
  }
  const query = Object.fromEntries(flags.query.map((q) => [q.slice(0, q.indexOf('=')), q.slice(q.indexOf('=') + 1)]));
  for (const pair of flags.connect) {
    const [provider, user] = pair.split('=');
    const start = `${flags.url}/connect/${provider}${query[provider] ? `?${query[provider]}` : ''}`;
    const page = await connect({ start, provider, user, jar });
    if (page.status >= 400) fail(`${provider}: ${page.status} at ${page.url}: ${brief(page.body)}`, page.trail);
    console.error(`connected ${provider} as ${user}`);
  }
  if (flags.bearer) console.log(await bearer({ url: flags.url, jar, client: flags.client }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main().catch((err) => {
    console.error(`consent.mjs: ${err.message}`);
    process.exit(1);
  });
}
