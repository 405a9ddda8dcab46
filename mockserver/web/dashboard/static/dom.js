// Making elements, writing times and sizes, copying. No state.

const SVG = 'http://www.w3.org/2000/svg';

/** Make an element: `h('button.primary', {onclick}, 'Text')`. Texts are never read as HTML. */
export function h(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.startsWith('aria') && name !== 'list') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  put(element, ...children);
  return element;
}

export function put(element, ...children) {
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

const ICONS = {
  home: 'M4 11.5 12 5l8 6.5M6 10v9h12v-9',
  tasks: 'M4 6h9M4 12h15M4 18h6M16 6h4M13 18h5',
  wire: 'M4 8h13m0 0-3-3m3 3-3 3M20 16H7m0 0 3-3m-3 3 3 3',
  flask: 'M10 4h4M11 4v5l-5.5 9.2A1.2 1.2 0 0 0 6.5 20h11a1.2 1.2 0 0 0 1-1.8L13 9V4M8 15h8',
  alert: 'M12 5 3.5 19h17L12 5Zm0 5.5v4m0 2.2v.3',
  fork: 'M6 4v5c0 3 12 3 12 8v3M6 9v11M18 4v3c0 2-2 3-4 3.6',
  book: 'M5 5.5C7 4.5 10 4.5 12 6c2-1.5 5-1.5 7-.5V18c-2-1-5-1-7 .5-2-1.5-5-1.5-7-.5V5.5ZM12 6v12.5',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  play: 'M8 5.5v13l11-6.5-11-6.5Z',
  pause: 'M8 5.5v13M16 5.5v13',
  next: 'M6 5.5v13l9-6.5-9-6.5ZM18 5.5v13',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 3v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4',
  keys: 'M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  reset: 'M5 12a7 7 0 1 0 2.2-5.1M5 4v4h4',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [key, value] of Object.entries({ viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' })) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

const two = (number) => String(number).padStart(2, '0');

/** A moment of the world's clock, in UTC: 12:05:09. */
export function time(moment) {
  if (moment === null || moment === undefined) return '–';
  const date = new Date(moment * 1000);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
}

export const day = (moment) => new Date(moment * 1000).toISOString().slice(0, 10);

/** Seconds as a person says them: 850 ms, 12.4 s, 3 min 05 s, 2 h 10 min. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(Math.floor(seconds % 60))} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

export const count = (number) => number.toLocaleString('en');

let silence;
export function say(text, bad = false) {
  const place = document.getElementById('said');
  place.textContent = text;
  place.className = bad ? 'shown bad' : 'shown';
  clearTimeout(silence);
  silence = setTimeout(() => { place.className = ''; }, bad ? 6000 : 2600);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context (a plain address of the network) there is no clipboard API.
    const area = h('textarea.away', { value: text, 'aria-hidden': 'true' });
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  say(`${what} copied`);
}

export const copyButton = (text, what) => h('button.quiet.copy', { type: 'button', 'aria-label': `Copy ${what}`, title: `Copy ${what}`, onclick: () => copy(typeof text === 'function' ? text() : text, what) }, icon('copy'));

const quoted = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;

/** A request as a curl command. `$NAME` in a header stays for the shell to fill; a body that is no text is to be a *file*. */
export function curl({ method, url, headers, body, file }) {
  const lines = [`curl ${quoted(url)}`];
  if (method !== (body || file ? 'POST' : 'GET')) lines[0] += ` --request ${method}`;
  for (const [name, value] of headers) {
    const line = `${name}: ${value}`;
    lines.push(`--header ${line.includes('$API_KEY') ? `"${line}"` : quoted(line)}`);
  }
  if (body) lines.push(`--data ${quoted(body)}`);
  if (file) lines.push(`--data-binary @${file}`);
  return lines.join(' \\\n  ');
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** JSON text, coloured by kind. */
export function code(text, label = 'Text') {
  const block = h('pre.code', { tabIndex: 0, role: 'region', 'aria-label': label });
  if (text.length > 60000) return fill(block, text);
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g;
  const json = /^\s*[[{]/.test(text);
  let from = 0;
  for (const match of json ? text.matchAll(token) : []) {
    if (match.index > from) block.append(text.slice(from, match.index));
    const kind = match[1] ? (match[2] ? 'k' : 's') : match[3] ? 'b' : 'n';
    block.append(h(`span.${kind}`, {}, match[1] ?? match[0]), match[2] ?? '');
    from = match.index + match[0].length;
  }
  block.append(text.slice(from));
  return block;
}

export const empty = (title, ...text) => h('div.empty', {}, h('strong', {}, title), h('p', {}, ...text));
