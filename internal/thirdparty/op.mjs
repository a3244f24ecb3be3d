// A strict OpenID provider on loopback, for internal/thirdparty/issuers:
//
//   PORT=9201 [MODULES=DIR] node op.mjs
//
// It takes pushed authorization requests alone, wants PKCE, rotates refresh
// tokens and, when an old one comes back, ends the whole grant. Its sign-in
// page is a form with three fields: user, scope (what to agree to) and answer.
// Prints "ready" and its issuer; ends when its standard input does, so that it
// does not outlive a test that was killed.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// MODULES is a node_modules folder that is not beside this file.
const near = createRequire(process.env.MODULES ? `${process.env.MODULES}/x` : import.meta.url);
const { Provider, errors } = await import(pathToFileURL(near.resolve('oidc-provider')));

const host = '127.0.0.1';
const issuer = `http://${host}:${process.env.PORT}`;
const api = 'https://api.example.test';
const device = 'urn:ietf:params:oauth:grant-type:device_code';

const app = {
  redirect_uris: ['http://localhost:8787/connect/panva/callback'],
  grant_types: ['authorization_code', 'refresh_token', device],
  require_pushed_authorization_requests: true,
};

const op = new Provider(issuer, {
  clients: [
    // No word on how it authenticates: then it is client_secret_basic.
    { ...app, client_id: 'deputy', client_secret: 'a secret: with 100% of the + signs & more' },
    { ...app, client_id: 'brief', client_secret: 'brief-secret' },
    { ...app, client_id: 'public', token_endpoint_auth_method: 'none' },
    // deputy as a place where people sign in, which pushes no requests.
    { client_id: 'door', client_secret: 'door-secret', redirect_uris: ['http://localhost:8787/signin/oidc/callback'] },
    // The API's own client, which asks what a token is good for.
    { client_id: 'api', client_secret: 'api-secret', redirect_uris: [], response_types: [], grant_types: [] },
  ],
  cookies: { keys: ['for tests'] },
  scopes: ['openid', 'offline_access', 'email', 'read', 'write'],
  claims: { openid: ['sub'], email: ['email'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.test` }) }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // The first token of a "brief" grant is short-lived and the next ones are
  // not, so that a test that counts refreshes counts one.
  ttl: {
    AccessToken: (ctx, _, client) => (client.clientId === 'brief' && ctx.oidc.params.grant_type !== 'refresh_token' ? 3 : 600),
    RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 600, DeviceCode: 600,
  },
  interactions: { url: (_, { uid }) => `/sign-in/${uid}` },
  features: {
    devInteractions: { enabled: false },
    pushedAuthorizationRequests: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo(_, indicator) {
        if (indicator !== api) throw new errors.InvalidTarget();
        return { scope: 'read write', audience: api, accessTokenFormat: 'opaque' };
      },
    },
  },
});

// agreement is the grant for what the person ticked; what they did not tick is
// refused for good, else the provider would ask again.
async function agreement(session, params, ticked) {
  const grant = new op.Grant({ accountId: session.accountId, clientId: params.client_id });
  const asked = params.scope.split(' ');
  const yes = asked.filter((s) => ticked.includes(s)).join(' ');
  const no = asked.filter((s) => !ticked.includes(s)).join(' ');
  if (yes) grant.addOIDCScope(yes);
  if (no) grant.rejectOIDCScope(no);
  if (params.resource) {
    if (yes) grant.addResourceScope(params.resource, yes);
    if (no) grant.rejectResourceScope(params.resource, no);
  }
  return grant.save();
}

async function formOf(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return new URLSearchParams(text);
}

op.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/sign-in/')) return next();
  const { prompt, params, session } = await op.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    ctx.type = 'html';
    ctx.body = `<form method="post">
      <input name="user"><input name="scope" value="${params.scope}"><input name="answer" value="yes"></form>`;
    return undefined;
  }
  const form = await formOf(ctx.req);
  let result;
  if (form.get('answer') !== 'yes') result = { error: 'access_denied' };
  else if (prompt.name === 'login') result = { login: { accountId: form.get('user') } };
  else result = { consent: { grantId: await agreement(session, params, form.get('scope').split(' ')) } };
  ctx.respond = false;
  return op.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
});

op.on('server_error', (_, err) => console.error(err));
op.listen(Number(process.env.PORT), host, () => console.log(`ready ${issuer}`));
process.stdin.on('end', () => process.exit(0)).resume();
