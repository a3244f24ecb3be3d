// A tools/call and nothing more, for checks that are not about the protocol.
export async function mcp(url, bearer) {
  let session;
  let id = 0;
  const rpc = async (method, params) => {
    const res = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${bearer}`,
        ...(session ? { 'mcp-session-id': session } : {}),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params }),
    });
    session = res.headers.get('mcp-session-id') ?? session;
    const text = await res.text();
    const answer = JSON.parse(text.startsWith('{') ? text : text.slice(text.indexOf('data: ') + 6).split('\n')[0]);
    if (answer.error) throw new Error(JSON.stringify(answer.error));
    return answer.result;
  };
  await rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'check', version: '1' } });
  return (name, args) => rpc('tools/call', { name, arguments: args });
}
