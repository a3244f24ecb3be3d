// Forwards every request to deputy as it is, Host and Origin included, and adds
// the bearer, which the conformance suite cannot send.
//
//   node bearer.mjs --listen PORT --to PORT --bearer FILE
import fs from 'node:fs';
import http from 'node:http';
import { parseArgs } from 'node:util';

const string = { type: 'string' };
const { values: flags } = parseArgs({ options: { listen: string, to: string, bearer: string } });
const authorization = `Bearer ${fs.readFileSync(flags.bearer, 'utf8').trim()}`;

const server = http.createServer((req, res) => {
  const on = http.request({ host: '127.0.0.1', port: Number(flags.to), method: req.method, path: req.url, headers: { ...req.headers, authorization } }, (answer) => {
    res.writeHead(answer.statusCode, answer.headers);
    answer.pipe(res);
  });
  on.on('error', () => res.destroy());
  res.on('close', () => on.destroy());
  req.pipe(on);
});
server.listen(Number(flags.listen), '127.0.0.1', () => console.log(`ready http://127.0.0.1:${flags.listen}`));
process.on('SIGTERM', () => process.exit(0));
