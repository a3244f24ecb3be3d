// What the driver sees without asking deputy: the gates' journals, and the
// texts inside the requests that went out.

// Gate is one gate's control side, and the service behind it.
export class Gate {
  constructor(name, { gate, upstream }) {
    Object.assign(this, { name, gate, upstream });
  }

  async #control(method, path) {
    const r = await fetch(`${this.gate}/__gate/${path}`, { method });
    if (!r.ok) throw new Error(`${this.name} gate: ${path}: ${r.status}`);
    return r.json();
  }

  async writes(since = 0) {
    const { writes } = await this.#control('GET', `writes?since=${since}`);
    return writes.map((w) => ({ ...w, body: Buffer.from(w.body_base64 ?? '', 'base64') }));
  }

  tokens() { return this.#control('GET', 'tokens'); }
  expire() { return this.#control('POST', 'expire'); }

  // look asks the service itself, with the seed's own token.
  async look(method, path, body) {
    const r = await fetch(this.upstream + path, {
      method, body: body && JSON.stringify(body),
      headers: { authorization: `Bearer eye-${this.name}`, 'content-type': 'application/json' },
    });
    return r.json();
  }
}

// sent reads what one write says to people: {to, subject, text}.
export function sent(provider, write) {
  if (provider === 'google') return mail(rawMail(write));
  const fields = write.content_type.startsWith('application/json')
    ? JSON.parse(write.body.toString())
    : Object.fromEntries(new URLSearchParams(write.body.toString()));
  if (provider === 'slack') return { to: fields.channel, text: fields.text ?? fields.markdown_text };
  return { to: write.path, subject: fields.title, text: fields.body };
}

// rawMail finds the message in a messages.send request of either kind.
function rawMail(write) {
  if (write.content_type.startsWith('message/rfc822')) return write.body;
  const json = JSON.parse(write.body.toString());
  return Buffer.from(json.raw ?? json.message?.raw ?? '', 'base64url');
}

// mail parses a message far enough for the tests: unfolded headers, encoded
// words, and the first text/plain part.
export function mail(bytes) {
  const { head, body } = split(bytes);
  return {
    to: [...(head.to ?? '').matchAll(/[^\s<>,]+@[^\s<>,]+/g)].map(([a]) => a).join(','),
    cc: head.cc, bcc: head.bcc,
    subject: words(head.subject ?? ''),
    text: plain(head, body)?.replace(/\r\n/g, '\n'),
  };
}

function split(bytes) {
  const text = bytes.toString('latin1');
  const end = text.search(/\r?\n\r?\n/);
  const lines = text.slice(0, end).replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const head = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = Buffer.from(line.slice(colon + 1).trim(), 'latin1').toString();
    head[name] = name in head ? `${head[name]}, ${value}` : value;
  }
  return { head, body: text.slice(end).replace(/^\r?\n\r?\n/, '') };
}

function plain(head, body) {
  const type = head['content-type'] ?? 'text/plain';
  const boundary = type.match(/boundary="?([^";]+)"?/i)?.[1];
  if (boundary) {
    for (const part of body.split(`--${boundary}`).slice(1)) {
      if (part.startsWith('--')) break;
      const inner = split(Buffer.from(part.replace(/^\r?\n/, '').replace(/\r?\n$/, ''), 'latin1'));
      const text = plain(inner.head, inner.body);
      if (text !== undefined) return text;
    }
    return undefined;
  }
  if (!/^text\/plain/i.test(type)) return undefined;
  const bytes = { base64: () => Buffer.from(body, 'base64'), 'quoted-printable': () => quoted(body) }[(head['content-transfer-encoding'] ?? '').toLowerCase()];
  return (bytes ? bytes() : Buffer.from(body, 'latin1')).toString('utf8');
}

const quoted = (s) => Buffer.from(s.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1');

const words = (s) => s.replace(/\?=\s+=\?/g, '?==?').replace(/=\?([^?]+)\?([bq])\?([^?]*)\?=/gi, (_, _charset, kind, text) =>
  (kind.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : quoted(text.replaceAll('_', ' '))).toString('utf8'));
