// Boots the emulated Google, Slack and GitHub on loopback, seeded by seed.yaml.
//
//   node emulate.mjs --google 9101 --slack 9102 --github 9103 \
//     [--public-google URL] [--public-slack URL] [--public-github URL] \
//     [--redirect http://localhost:8787] [--seed FILE]
//
// --public-X is the address clients use (the gate's), so that the links in
// answers lead through it. --redirect is deputy's public URL; each provider's
// OAuth client gets URL/connect/{google,slack,github}/callback. Several
// --redirect may be given; so may $REDIRECTS, separated by commas.
// Prints "ready" and the three addresses; ends on SIGTERM or SIGINT.
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import YAML from 'yaml';

const here = path.dirname(fileURLToPath(import.meta.url));
const services = ['google', 'slack', 'github'];
const maxUint64 = 2n ** 64n - 1n;

const string = { type: 'string' };
const { values: flags } = parseArgs({
  options: {
    google: string, slack: string, github: string,
    'public-google': string, 'public-slack': string, 'public-github': string,
    redirect: { type: 'string', multiple: true }, seed: string,
  },
});
for (const s of services) {
  if (!/^\d+$/.test(flags[s] ?? '')) {
    console.error(`emulate.mjs: --${s} PORT is needed`);
    process.exit(2);
  }
}

module.register('./patch.mjs', import.meta.url);
const { createEmulator } = await import('emulate');

const seed = YAML.parse(fs.readFileSync(flags.seed ?? path.join(here, 'seed.yaml'), 'utf8'));
const bases = flags.redirect ?? (process.env.REDIRECTS ?? 'http://localhost:8787').split(',');
for (const [service, key] of [['google', 'oauth_clients'], ['slack', 'oauth_apps'], ['github', 'oauth_apps']]) {
  for (const client of seed[service][key]) {
    client.redirect_uris = bases.map((b) => `${b.replace(/\/$/, '')}/connect/${service}/callback`);
  }
}

const running = [];
async function stop(code) {
  await Promise.allSettled(running.map((e) => e.close()));
  process.exit(code);
}
process.on('SIGTERM', () => stop(0));
process.on('SIGINT', () => stop(0));

const at = (service) => `http://127.0.0.1:${flags[service]}`;
try {
  for (const service of services) {
    running.push(await createEmulator({
      service, seed, port: Number(flags[service]), hostname: '127.0.0.1',
      baseUrl: flags[`public-${service}`] ?? at(service),
    }));
  }
  await speak();
  await checkHistory();
} catch (err) {
  console.error(`emulate.mjs: ${err.stack}`);
  await stop(1);
}
console.log(`ready ${services.map((s) => `${s}=${at(s)}`).join(' ')}`);

// api calls one service as the seed's own eye.
async function api(service, method, where, body) {
  const r = await fetch(at(service) + where, {
    method, body: body && JSON.stringify(body),
    headers: { authorization: `Bearer eye-${service}`, 'content-type': 'application/json' },
  });
  const answer = await r.json();
  if (!r.ok || answer.ok === false) throw new Error(`${service} ${where}: ${r.status} ${JSON.stringify(answer)}`);
  return answer;
}

// speak files what can only be made over the API.
async function speak() {
  const { channels } = await api('slack', 'POST', '/api/conversations.list', {});
  for (const { channel, text } of seed.spoken.slack) {
    const id = channels.find((c) => c.name === channel).id;
    await api('slack', 'POST', '/api/chat.postMessage', { channel: id, text });
  }
  for (const { owner, repo, title, body } of seed.spoken.github) {
    await api('github', 'POST', `/repos/${owner}/${repo}/issues`, { title, body });
  }
}

// checkHistory makes sure the patch took.
async function checkHistory() {
  const { id } = seed.google.messages[0];
  const { historyId } = await api('google', 'GET', `/gmail/v1/users/me/messages/${id}`);
  if (BigInt(historyId) > maxUint64) throw new Error(`historyId ${historyId} is larger than uint64`);
}
