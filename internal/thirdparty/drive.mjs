// Drives deputy through the official MCP clients and believes only what the
// gates saw go out.
//
//   node drive.mjs --url http://localhost:8787 --bearer TOKEN --deputy PATH --home DIR \
//     --gates '{"google":{"gate":"http://…","upstream":"http://…"},"slack":{…},"github":{…}}' \
//     --era legacy|modern [--log FILE] [--owner anna --repo silo --channel barley]
//
// The three accounts must be connected. One line is printed per check; the
// last line is "N passed, N failed", and the exit status follows it.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { parseArgs, promisify } from 'node:util';
import { open } from './clients.mjs';
import { Gate, sent } from './eyes.mjs';

const string = { type: 'string' };
const { values: flags } = parseArgs({
  options: {
    url: string, bearer: string, deputy: string, home: string, gates: string, log: string,
    era: { type: 'string', default: 'modern' }, owner: { type: 'string', default: 'anna' },
    repo: { type: 'string', default: 'silo' }, channel: { type: 'string', default: 'barley' },
  },
});
for (const name of ['url', 'bearer', 'deputy', 'home', 'gates']) {
  if (!flags[name]) {
    console.error(`drive.mjs: --${name} is needed`);
    process.exit(2);
  }
}
const base = flags.url.replace(/\/$/, '');
const gates = Object.fromEntries(Object.entries(JSON.parse(flags.gates)).map(([k, v]) => [k, new Gate(k, v)]));
const heard = []; // everything deputy said, on every connection

// --- checks ---------------------------------------------------------------

let passed = 0;
let failed = 0;

async function check(name, fn) {
  try {
    await fn();
    passed++;
    console.log(`ok    ${flags.era}: ${name}`);
  } catch (err) {
    failed++;
    console.log(`FAIL  ${flags.era}: ${name}: ${String(err.message).slice(0, 600)}`);
  }
}

function must(condition, what, got) {
  if (!condition) throw new Error(got === undefined ? what : `${what}, got ${JSON.stringify(got)}`);
}

const same = (what, got, want) => must(got === want, `${what}: want ${JSON.stringify(want)}`, got);
const all = (result) => JSON.stringify(result);

// --- deputy's own command line: the person, out of band --------------------

async function cli(...args) {
  const { stdout, stderr } = await promisify(execFile)(flags.deputy, ['--home', flags.home, ...args], { timeout: 30_000 });
  heard.push(stdout, stderr);
  return stdout;
}

const idIn = (text) => text.match(/\bapr_[A-Za-z0-9_-]+/)?.[0];

// --- one way of asking, three providers ------------------------------------

// A way says what the client declares and how its person answers. yes is what
// the person thinks; where it is asked through the client, asked collects the
// questions.
const ways = {
  form: {
    elicitation: { form: {} },
    answer: (yes) => (yes ? { action: 'accept', content: { approve: true } } : { action: 'decline' }),
  },
  url: {
    elicitation: { url: {} },
    answer: async (yes, params) => {
      await cli('approvals', yes ? 'approve' : 'deny', idIn(params.url) ?? idIn(params.elicitationId ?? ''));
      return { action: 'accept' };
    },
  },
  none: {},
};

// openWay connects one client. person.yes is set before each call.
async function openWay(way, person) {
  const { elicitation, answer } = ways[way];
  person.asked = [];
  const client = await open({
    era: flags.era, url: `${base}/mcp`, bearer: flags.bearer, elicitation, heard,
    answer: async (params) => {
      person.asked.push(params);
      return person.answer ?? answer(person.yes, params);
    },
  });
  client.tools = await client.list();
  return client;
}

// write makes one call that needs a yes, gives or refuses it, and returns the
// final result and everything that reached any provider meanwhile.
async function write(client, way, person, yes, tool, args) {
  const before = await journals();
  person.yes = yes;
  person.asked.length = 0;
  const first = await client.call(tool, args).catch((err) => urlError(err, yes));
  let result = first;
  let pending = first.structuredContent;
  if (pending?.status === 'approval_required') {
    if (way === 'none') await cli('approvals', yes ? 'approve' : 'deny', pending.approval_id);
    result = await client.call('approval_wait', { approval_id: pending.approval_id, max_seconds: 30 });
  } else pending = undefined;
  return { first, pending, result, asked: [...person.asked], sent: await since(before) };
}

// urlError is how 2025-11-25 servers may ask for a URL: as an error, -32042.
// The answer is then to be had from approval_wait.
async function urlError(err, yes) {
  const link = err.code === -32042 && (err.data?.elicitations ?? err.elicitations)?.[0];
  if (!link) throw err;
  const id = idIn(link.url);
  await cli('approvals', yes ? 'approve' : 'deny', id);
  return { structuredContent: { status: 'approval_required', approval_id: id, url: link.url } };
}

const journals = async () => Object.fromEntries(await Promise.all(Object.entries(gates).map(async ([k, g]) => [k, (await g.writes()).length])));

async function since(before) {
  const out = [];
  for (const [name, gate] of Object.entries(gates)) {
    for (const w of await gate.writes(before[name])) out.push({ provider: name, ...w });
  }
  return out;
}

// one asserts that exactly one write went out, to provider.
function one(outcome, provider) {
  must(outcome.sent.length === 1, 'want exactly one write', outcome.sent.map((w) => `${w.provider} ${w.method} ${w.path}`));
  same('provider', outcome.sent[0].provider, provider);
  must(outcome.sent[0].status >= 200 && outcome.sent[0].status < 300, 'the provider took it', outcome.sent[0].status);
  return sent(provider, outcome.sent[0]);
}

function none(outcome) {
  must(outcome.sent.length === 0, 'want no write', outcome.sent.map((w) => `${w.provider} ${w.method} ${w.path}`));
}

function denied(outcome) {
  const status = outcome.result.structuredContent?.status;
  must(status === 'denied' || (status === undefined && outcome.result.isError), 'want a denial', outcome.result);
}

function done(outcome) {
  must(!outcome.result.isError, 'want no error', outcome.result);
  if (outcome.pending) same('status', outcome.result.structuredContent?.status, 'done');
}

// asked asserts that the question was put the way the client declared, and
// that it showed the text that was going to be sent.
function asked(outcome, way, text) {
  if (way === 'none') {
    const p = outcome.pending;
    must(p, 'want status approval_required', outcome.first);
    must(/^apr_/.test(p.approval_id), 'approval_id', p.approval_id);
    must(p.url?.startsWith(`${base}/approvals/`), 'url', p.url);
    must(Date.parse(p.expires_at) > Date.now(), 'expires_at', p.expires_at);
    must(/^\S+$/.test(p.match_code ?? ''), 'match_code', p.match_code);
    must(p.preview?.includes(text.split('\n')[0]), 'the preview shows the text', p.preview);
    return;
  }
  if (way === 'url' && outcome.asked.length === 0) { // asked by -32042
    must(outcome.first.structuredContent?.url, 'want a URL', outcome.first);
    return;
  }
  must(outcome.asked.length === 1, 'want one question', outcome.asked);
  const [q] = outcome.asked;
  if (way === 'url') {
    same('mode', q.mode, 'url');
    must(q.url.startsWith(`${base}/approvals/`), 'url', q.url);
    return;
  }
  must((q.mode ?? 'form') === 'form', 'mode', q.mode);
  same('fields', Object.keys(q.requestedSchema.properties).join(), 'approve');
  same('type', q.requestedSchema.properties.approve.type, 'boolean');
  must(q.message.includes(text.split('\n')[0]), 'the question shows the text', q.message);
}

const textFor = (what) => `${what} ${randomBytes(4).toString('hex')}: zwölf Tonnen, 9 °C.\nSecond line – as written.`;

async function askAndWrite(way) {
  const person = {};
  let client;
  await check(`${way}: connects and lists its tools`, async () => {
    client = await openWay(way, person);
    must(client.tools.length > 0, 'tools');
  });
  if (!client) return;
  const go = (yes, tool, args) => write(client, way, person, yes, tool, args);
  const channel = await channelID();

  const mailArgs = (text) => ({ to: ['bo@example.test'], subject: `Grüße ${text.slice(0, 20)}`, body: text });
  const slackArgs = (text) => ({ channel_id: channel, message: text });
  const repo = { owner: flags.owner, repo: flags.repo };

  await check(`${way}: gmail_send_message, yes: these bytes, once`, async () => {
    const text = textFor('A mail');
    const o = await go(true, 'gmail_send_message', mailArgs(text));
    asked(o, way, text);
    done(o);
    const m = one(o, 'google');
    same('to', m.to, 'bo@example.test');
    must(!m.cc && !m.bcc, 'no other recipients', m);
    same('subject', m.subject, mailArgs(text).subject);
    same('text', m.text.trimEnd(), text);
  });
  await check(`${way}: gmail_send_message, no: nothing goes out`, async () => {
    const text = textFor('A mail refused');
    const o = await go(false, 'gmail_send_message', mailArgs(text));
    none(o);
    asked(o, way, text);
    denied(o);
  });
  await check(`${way}: slack_send_message, yes: these bytes, once`, async () => {
    const text = textFor('A message');
    const o = await go(true, 'slack_send_message', slackArgs(text));
    asked(o, way, text);
    done(o);
    const m = one(o, 'slack');
    same('channel', m.to, channel);
    same('text', m.text, text);
  });
  await check(`${way}: slack_send_message, no: nothing goes out`, async () => {
    const text = textFor('A message refused');
    const o = await go(false, 'slack_send_message', slackArgs(text));
    none(o);
    asked(o, way, text);
    denied(o);
  });
  let issue;
  await check(`${way}: github_issue_write create, yes: these bytes, once`, async () => {
    const text = textFor('An issue');
    const title = text.split('\n')[0];
    const o = await go(true, 'github_issue_write', { method: 'create', ...repo, title, body: text });
    asked(o, way, title);
    done(o);
    const m = one(o, 'github');
    same('path', m.to, `/repos/${repo.owner}/${repo.repo}/issues`);
    same('title', m.subject, title);
    same('text', m.text, text);
    const found = await gates.github.look('GET', `/repos/${repo.owner}/${repo.repo}/issues?per_page=100`);
    issue = found.find((i) => i.title === title)?.number;
    must(issue, 'the issue is there');
  });
  issue ??= 1; // the seed's own, so that the comments are tried all the same
  await check(`${way}: github_add_issue_comment, yes: these bytes, once`, async () => {
    const text = textFor('A comment');
    const o = await go(true, 'github_add_issue_comment', { ...repo, issue_number: issue, body: text });
    asked(o, way, text);
    done(o);
    const m = one(o, 'github');
    same('path', m.to, `/repos/${repo.owner}/${repo.repo}/issues/${issue}/comments`);
    same('text', m.text, text);
  });
  await check(`${way}: github_add_issue_comment, no: nothing goes out`, async () => {
    const text = textFor('A comment refused');
    const o = await go(false, 'github_add_issue_comment', { ...repo, issue_number: issue, body: text });
    none(o);
    asked(o, way, text);
    denied(o);
  });

  if (way === 'form') {
    for (const [name, answer] of [
      ['accepted with the box not ticked', { action: 'accept', content: { approve: false } }],
      ['cancelled', { action: 'cancel' }],
    ]) {
      await check(`form: ${name}: nothing goes out`, async () => {
        const before = await journals();
        person.answer = answer;
        await client.call('slack_send_message', slackArgs(textFor(name))).catch(() => {});
        person.answer = undefined;
        none({ sent: await since(before) });
      });
    }
  }
  if (way === 'none') {
    await check('none: a yes is spent: deciding and waiting again sends nothing more', async () => {
      const o = await go(true, 'slack_send_message', slackArgs(textFor('Once only')));
      one(o, 'slack');
      const before = await journals();
      await cli('approvals', 'approve', o.pending.approval_id).catch(() => {});
      await client.call('approval_wait', { approval_id: o.pending.approval_id, max_seconds: 1 });
      none({ sent: await since(before) });
    });
    await check('none: a client cannot answer for its person', async () => {
      const before = await journals();
      const r = await client.call('slack_send_message', slackArgs(textFor('Not asked')));
      const id = r.structuredContent.approval_id;
      const post = await fetch(`${base}/api/approvals/${id}`, {
        method: 'POST', body: '{"decision":"approve"}',
        headers: { authorization: `Bearer ${flags.bearer}`, 'content-type': 'application/json' },
      });
      must(post.status >= 400, 'the agent token is refused', post.status);
      none({ sent: await since(before) });
      await cli('approvals', 'deny', id);
    });
  }
  await client.close();
}

const channelID = async () => (await gates.slack.look('POST', '/api/conversations.list', {})).channels.find((c) => c.name === flags.channel).id;

// --- the door, the reads, the leaks ----------------------------------------

async function door() {
  const knock = (auth) => fetch(`${base}/mcp`, {
    method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...auth },
  });
  for (const [name, auth] of [['no bearer', {}], ['a wrong bearer', { authorization: 'Bearer wrong' }], ['a bearer cut short', { authorization: `Bearer ${flags.bearer.slice(0, -2)}` }]]) {
    await check(`${name} is 401 with a challenge that says what to send`, async () => {
      const r = await knock(auth);
      heard.push(await r.text());
      same('status', r.status, 401);
      const challenge = r.headers.get('www-authenticate') ?? '';
      // RFC 6750 section 3.1: no error code where no token came.
      must(/^Bearer .*scope="/.test(challenge) && /error="invalid_token"/.test(challenge) === 'authorization' in auth && /bearer/.test(heard.at(-1)), 'WWW-Authenticate', challenge);
    });
  }
}

const needed = [
  'gmail_search_threads', 'gmail_send_message', 'slack_read_channel', 'slack_send_message',
  'github_issue_read', 'github_issue_write', 'github_add_issue_comment', 'approval_wait', 'accounts_list',
];

async function reads() {
  let client;
  await check('tools/list names what is needed, each with a schema and all four hints', async () => {
    client = await openWay('none', {});
    const names = client.tools.map((t) => t.name);
    for (const name of needed) must(names.includes(name), `want ${name}`, names);
    for (const t of client.tools) {
      same(`${t.name} input`, t.inputSchema?.type, 'object');
      for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint']) {
        same(`${t.name} ${hint}`, typeof t.annotations?.[hint], 'boolean');
      }
    }
  });
  if (!client) return;
  const before = await journals();
  const read = (name, tool, args, want) => check(name, async () => {
    const r = await client.call(tool, await args());
    must(!r.isError, 'want no error', r);
    must(all(r).includes(want), `want "${want}"`, r);
    must(!all(r).includes('Only Bo has this mail'), "not another person's mail", r);
  });
  const searchMail = () => read('gmail_search_threads finds the seeded mail', 'gmail_search_threads', () => ({ query: 'subject:Harvest' }), 'Harvest plan');
  await searchMail();
  await read('slack_read_channel reads the seeded message', 'slack_read_channel', async () => ({ channel_id: await channelID() }), 'combine is booked');
  await read('github_issue_read reads the seeded issue', 'github_issue_read', () => ({ method: 'get', owner: flags.owner, repo: flags.repo, issue_number: 1 }), 'Moisture sensor');
  await check('reading changes nothing at any provider', async () => none({ sent: await since(before) }));
  await gates.google.expire();
  await searchMail(); // and renews its access token on the way
  await check('fifty calls that find the token expired renew it once', async () => {
    await gates.google.expire();
    const before = new Set((await gates.google.tokens()).tokens);
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.call('gmail_search_threads', { query: 'subject:Harvest' })));
    for (const r of answers) must(!r.isError && all(r).includes('Harvest plan'), 'every call is answered', r);
    const made = (await gates.google.tokens()).tokens.filter((t) => !before.has(t));
    // One for the grant, and one for less than the grant where the provider complies.
    must(made.length >= 1 && made.length <= 2, 'one renewal', made.length);
  });
  await check('an unknown tool, or a wrong argument, is an error in words', async () => {
    for (const [tool, args] of [['gmail_no_such_tool', {}], ['gmail_search_threads', { no_such_argument: 1 }]]) {
      const r = await client.call(tool, args).catch((err) => ({ isError: true, err: err.message }));
      must(r.isError, `${tool} is refused`, r);
      heard.push(all(r));
    }
  });
  await client.close();
}

async function leaks() {
  await new Promise((resolve) => setTimeout(resolve, 200)); // the last copies of streams
  const secrets = new Set();
  for (const gate of Object.values(gates)) {
    const { tokens, refused } = await gate.tokens();
    await check(`${gate.name}: deputy's own bearer never went to the provider`, async () => must(![...tokens, ...refused].includes(flags.bearer), 'token passthrough'));
    await check(`${gate.name}: deputy had tokens of its own`, async () => must(tokens.length > 0, 'tokens'));
    tokens.forEach((t) => secrets.add(t));
  }
  const clean = (where, text) => check(`no provider token in ${where}`, async () => {
    must(text.length > 0, 'something to look at');
    for (const s of secrets) must(!text.includes(s), `${s.slice(0, 6)}… is in it`);
  });
  await clean(`${heard.length} answers`, heard.join('\n'));
  if (flags.log) {
    const log = fs.readFileSync(flags.log, 'utf8') || '(empty)';
    await clean("deputy's log", log);
    await check("deputy's log does not hold the bearer", async () => must(!log.includes(flags.bearer), 'it does'));
  }
}

await door();
await reads();
for (const way of Object.keys(ways)) await askAndWrite(way);
await leaks();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
