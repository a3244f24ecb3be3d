// The official TypeScript clients, one per era, behind one small face:
//
//   const c = await open({ era, url, bearer, elicitation, answer, heard });
//   await c.list(); await c.call(name, args); await c.close();
//
// legacy is @modelcontextprotocol/sdk 1.x (2025-11-25 and earlier: the server
// sends elicitation/create); modern is @modelcontextprotocol/client 2.x pinned
// to 2026-07-28 (the server answers input_required, and the client calls the
// same handler and then the tool again). elicitation is the capability to
// declare: undefined, {form: {}} or {url: {}}. answer(params) is the handler.
// heard collects every byte that came back, for the leak check.
import { Client as Modern, StreamableHTTPClientTransport as ModernHTTP } from '@modelcontextprotocol/client';
import { Client as Legacy } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyHTTP } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const who = { name: 'third-party-driver', version: '1.0.0' };
const timeout = 90_000; // approval_wait alone may take 55 s
export const modernVersion = '2026-07-28';

// listening is a fetch that keeps a copy of what it receives.
const listening = (heard) => async (input, init) => {
  const answer = await fetch(input, init);
  heard.push([...answer.headers].map(([k, v]) => `${k}: ${v}`).join('\n'));
  answer.clone().text().then((text) => heard.push(text), () => {});
  return answer;
};

export async function open({ era, url, bearer, elicitation, answer, heard = [] }) {
  const options = { capabilities: elicitation ? { elicitation } : {} };
  const wire = { requestInit: { headers: { authorization: `Bearer ${bearer}` } }, fetch: listening(heard) };
  let client, call;
  if (era === 'modern') {
    client = new Modern(who, { ...options, versionNegotiation: { mode: { pin: modernVersion } } });
    if (elicitation) client.setRequestHandler('elicitation/create', (request) => answer(request.params));
    await client.connect(new ModernHTTP(new URL(url), wire));
    call = (params) => client.callTool(params, { timeout });
  } else {
    client = new Legacy(who, options);
    if (elicitation) client.setRequestHandler(ElicitRequestSchema, (request) => answer(request.params));
    await client.connect(new LegacyHTTP(new URL(url), wire));
    call = (params) => client.callTool(params, undefined, { timeout });
  }
  return {
    server: () => client.getServerVersion(),
    // list takes every page: the clients then know every output schema, and
    // check each structured result against it.
    list: async () => {
      const tools = [];
      let cursor;
      do {
        const page = await client.listTools(cursor ? { cursor } : {});
        tools.push(...page.tools);
        cursor = page.nextCursor;
      } while (cursor);
      return tools;
    },
    call: (name, args) => call({ name, arguments: args }),
    close: () => client.close(),
  };
}
