// A cookie jar and a browser's way of walking redirects, strict where browsers
// are: SameSite is honoured, HttpOnly does not matter here, and a Location is
// followed one hop at a time so that a caller can see where it was led.

const limit = 20; // hops, as browsers do

export class Jar {
  #cookies = []; // {host, name, value, path, sameSite, expires}

  // take stores the Set-Cookie headers of one answer.
  take(url, headers) {
    const { hostname } = new URL(url);
    for (const line of headers.getSetCookie()) {
      const [pair, ...rest] = line.split(';').map((s) => s.trim());
      const eq = pair.indexOf('=');
      const cookie = { host: hostname, name: pair.slice(0, eq), value: pair.slice(eq + 1), path: '/', sameSite: 'lax', expires: Infinity };
      for (const attribute of rest) {
        const [key, value = ''] = attribute.split('=');
        if (/^path$/i.test(key) && value.startsWith('/')) cookie.path = value;
        if (/^samesite$/i.test(key)) cookie.sameSite = value.toLowerCase();
        if (/^max-age$/i.test(key)) cookie.expires = Date.now() + Number(value) * 1000;
        if (/^expires$/i.test(key) && cookie.expires === Infinity) cookie.expires = Date.parse(value);
      }
      this.#cookies = this.#cookies.filter((c) => !(c.host === cookie.host && c.name === cookie.name && c.path === cookie.path));
      if (cookie.expires > Date.now()) this.#cookies.push(cookie);
    }
  }

  // header is the Cookie header for one request. crossSite says that another
  // site led here; then Strict cookies stay home, and Lax ones on a POST.
  header(url, { method = 'GET', crossSite = false } = {}) {
    const { hostname, pathname } = new URL(url);
    return this.#cookies
      .filter((c) => c.host === hostname && c.expires > Date.now())
      .filter((c) => c.path === '/' || pathname === c.path || pathname.startsWith(c.path.replace(/\/?$/, '/')))
      .filter((c) => !crossSite || c.sameSite === 'none' || (c.sameSite === 'lax' && method === 'GET'))
      .map((c) => `${c.name}=${c.value}`)
      .join('; ');
  }
}

const site = (url) => new URL(url).hostname;

// visit loads url as a browser tab would. from is the page it was opened from,
// form the fields of a POST. Returns {status, url, body, headers, trail}.
// stop(url) may end the walk before a hop is made.
export async function visit(jar, url, { from, form, stop } = {}) {
  let method = form ? 'POST' : 'GET';
  let body = form && new URLSearchParams(form).toString();
  let crossSite = from !== undefined && site(from) !== site(url);
  const trail = [];
  for (let hop = 0; hop < limit; hop++) {
    trail.push(`${method} ${url}`);
    const headers = { accept: 'text/html,application/xhtml+xml', 'user-agent': 'deputy-thirdparty' };
    const cookie = jar.header(url, { method, crossSite });
    if (cookie) headers.cookie = cookie;
    if (method === 'POST') {
      headers['content-type'] = 'application/x-www-form-urlencoded';
      headers.origin = new URL(from ?? url).origin;
    }
    headers['sec-fetch-site'] = from === undefined ? 'none' : crossSite ? 'cross-site' : 'same-origin';
    headers['sec-fetch-mode'] = 'navigate';
    const answer = await fetch(url, { method, body, headers, redirect: 'manual' });
    jar.take(url, answer.headers);
    const location = answer.headers.get('location');
    if (answer.status < 300 || answer.status > 399 || !location) {
      return { status: answer.status, url, body: await answer.text(), headers: answer.headers, trail };
    }
    await answer.body?.cancel();
    const next = new URL(location, url).href;
    if (stop?.(next)) return { status: answer.status, url: next, body: '', headers: answer.headers, trail };
    if (site(next) !== site(url)) crossSite = true;
    if (answer.status !== 307 && answer.status !== 308) [method, body] = ['GET', undefined];
    from ??= url;
    url = next;
  }
  throw new Error(`more than ${limit} redirects: ${trail.join(' → ')}`);
}

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescape = (s) => s.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, dec, name) =>
  hex ? String.fromCodePoint(parseInt(hex, 16)) : dec ? String.fromCodePoint(Number(dec)) : entities[name] ?? all);

const attributes = (tag) => Object.fromEntries(
  [...tag.matchAll(/([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/g)].slice(1)
    .map(([, k, a, b, c]) => [k.toLowerCase(), unescape(a ?? b ?? c ?? '')]));

// forms lists the forms of a page: {method, action, fields, text}. Of the
// submit buttons, the first that has a name counts as pressed.
export function forms(html, base) {
  return [...html.matchAll(/(<form\b[^>]*>)([\s\S]*?)<\/form>/gi)].map(([, open, inner]) => {
    const form = attributes(open);
    const fields = {};
    for (const [tag] of inner.matchAll(/<(?:input|button)\b[^>]*>/gi)) {
      const a = attributes(tag);
      const button = /^<button/i.test(tag) || a.type === 'submit';
      if (!a.name || (button && Object.hasOwn(fields, a.name))) continue;
      if (/^(checkbox|radio)$/.test(a.type ?? '') && !('checked' in a)) continue;
      fields[a.name] = a.value ?? '';
    }
    return {
      method: (form.method || 'get').toUpperCase(),
      action: new URL(form.action || base, base).href,
      fields,
      text: unescape(inner.replace(/<[^>]*>/g, '\n')).split('\n').map((s) => s.trim()).filter(Boolean),
    };
  });
}

// agree opens an authorization request of deputy's as a person who is signed in
// and says yes, and stops where stop says.
export async function agree(jar, url, stop) {
  let page = await visit(jar, url, { stop });
  for (let step = 0; step < 3 && !stop(page.url); step += 1) {
    const form = forms(page.body, page.url).find((f) => f.method === 'POST' && f.fields.handle);
    if (!form) throw new Error(`no consent at ${page.url}: ${page.status}`);
    page = { ...await visit(jar, form.action, { from: page.url, form: form.fields, stop }), asked: true };
  }
  return page;
}
