// What deputy sends to Slack and reads from it, held against the types of
// Slack's own SDK: tools/slack/testdata/methods.json is the one list, which a Go
// test keeps equal to the code. A method marked newer is not in the SDK yet; a
// field marked absent is read because methods share a type, and this one does
// not answer it.
//
//   node slack.mjs [METHODS.json]
//
// The types are read as text: interfaces and type aliases with their members,
// which is all that these generated files hold. A request's arguments may come
// from any type that its own is put together from.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const list = JSON.parse(fs.readFileSync(process.argv[2] ?? path.join(here, '../../tools/slack/testdata/methods.json'), 'utf8'));
const root = path.join(here, 'node_modules/@slack/web-api/dist');
const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');

// declarations finds every interface and type of a text: name → {head, body}.
function declarations(text) {
  const out = new Map();
  const starts = [...text.matchAll(/(?:export )?(?:interface|type) (\w+)/g)];
  starts.forEach((m, i) => {
    const whole = text.slice(m.index + m[0].length, starts[i + 1]?.index ?? text.length);
    out.set(m[1], whole);
  });
  return out;
}

// members of a declaration's text: name → type, in the outermost braces.
function members(text) {
  const out = new Map();
  for (const m of text.matchAll(/^\s*(?:readonly )?["']?([\w.]+)["']?\??: ([^;]+);/gm)) out.set(m[1], m[2]);
  return out;
}

// reachable are the members of a type and of all that it is put together from.
function reachable(all, name, seen = new Set()) {
  if (seen.has(name) || !all.has(name)) return new Set();
  seen.add(name);
  const text = all.get(name);
  const out = new Set(members(text).keys());
  for (const word of text.match(/\b[A-Z]\w+/g) ?? []) for (const member of reachable(all, word, seen)) out.add(member);
  return out;
}

// holds follows "messages[].reactions[].name" through a response's types.
function holds(all, name, field) {
  let text = all.get(name);
  const steps = field.split('.');
  for (const [i, step] of steps.entries()) {
    const type = text && members(text).get(step.replace('[]', ''));
    if (!type) return `${steps.slice(0, i + 1).join('.')} is not there`;
    if (step.endsWith('[]') !== type.endsWith('[]')) return `${step} is ${type}`;
    text = all.get(type.replace('[]', ''));
  }
  return text ? 'it is an object' : '';
}

const requests = new Map();
for (const file of fs.readdirSync(path.join(root, 'types/request'), { recursive: true })) {
  if (file.endsWith('.d.ts')) for (const [name, text] of declarations(read('types/request', file))) requests.set(name, text);
}
const known = new Map(); // method → [arguments type, response type]
const inside = [];
for (const line of read('methods.d.ts').split('\n')) {
  const opens = line.match(/^\s*(?:readonly )?(\w+): \{$/);
  const method = line.match(/^\s*(\w+): Method\w+<(\w+), (\w+)>;$/);
  if (opens) inside.push(opens[1]);
  else if (/^\s*\};$/.test(line)) inside.pop();
  else if (method) known.set([...inside, method[1]].join('.'), [method[2], method[3]]);
}

let passed = 0;
let failed = 0;
function check(what, wrong) {
  if (wrong) console.log(`not ok ${what}: ${wrong}`);
  wrong ? failed++ : passed++;
}

for (const { method, arguments: args, fields, newer, absent = [] } of list) {
  check(`${method} is ${newer ? 'newer than' : 'in'} the SDK`, known.has(method) === !newer ? '' : 'it is the other way');
  if (!known.has(method)) continue;
  const [request, response] = known.get(method);
  const may = reachable(requests, request);
  for (const name of args) check(`${method} takes ${name}`, may.has(name) ? '' : `${request} does not have it`);
  const types = declarations(read('types/response', `${response}.d.ts`));
  for (const field of fields) check(`${method} answers ${field}`, holds(types, response, field));
  for (const field of absent) check(`${method} does not answer ${field}`, holds(types, response, field) ? '' : 'it does');
}
console.log(`${list.length} methods, ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
