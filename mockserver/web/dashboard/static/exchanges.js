// Exchanges: what crossed the wire, live; what each breaks, explained; WebSocket frames in order; copy as curl.

import { code, copy, count, curl, empty, fill, h, icon, pretty, time } from './dom.js';
import { List } from './list.js';
import { ask, overview, state, world } from './store.js';
import { meaning, wanted, written } from './words.js';

export function exchanges(parts) {
  const search = h('input', { type: 'search', placeholder: 'Search path, operation, task, status…', 'aria-label': 'Search exchanges', oninput: () => update(true) });
  const wrong = h('input', { type: 'checkbox', onchange: () => update(true) });
  const hold = h('button.chip', { type: 'button', 'aria-pressed': 'false', onclick: () => { held = !held; hold.setAttribute('aria-pressed', String(held)); update(true); } }, icon('pause'), 'Hold still');
  const open = h('div.lines.sockets', { role: 'group', 'aria-label': 'Open push connections' });
  let drawnOpen = '[]';
  let live = null;
  let busy = false;
  const tally = h('p.soft.tally');
  let held = false;
  let kept = [];
  const nothing = empty('Nothing crossed the wire yet', 'Each call to a provider shows here the moment it is answered.');

  const list = new List({
    label: 'Exchanges, newest first', height: 34,
    make: () => {
      const row = h('div.exchange', {}, h('time'), h('b.method'), h('span.path'), h('span.op'), h('span.flags'), h('span.status'));
      row.parts = [...row.children];
      return row;
    },
    show: (row, one) => {
      const [at, method, path, op, flags, status] = row.parts;
      row.className = `exchange ${one.wrong ? 'wrong' : ''}`;
      at.textContent = time(one.at);
      method.textContent = one.status === 101 ? 'WS' : one.method;
      path.textContent = one.path;
      op.textContent = `${one.provider} ${one.operation ?? 'no such operation'}`;
      flags.textContent = [one.rules.length ? `rule ${one.rules[0]}` : '', one.frames ? `${one.frames} frames` : '', one.tasks[0] ?? ''].filter(Boolean).join(', ');
      status.textContent = one.status;
      status.className = `status s${String(one.status)[0]}`;
      row.setAttribute('aria-label', `${one.method} ${one.path}, ${one.status}${one.wrong ? ', breaks the contract or was refused' : ''}`);
    },
    open: (one) => { location.hash = `#/exchanges/${one.n}`; },
  });
  list.key = (one) => one.n;
  list.element.id = 'exchanges';

  const detail = h('aside.detail', { 'aria-label': 'The chosen exchange', hidden: true });
  const stage = h('div.split', {}, h('div.master', {}, list.element, nothing), detail);
  const element = h('div.page.tall', {}, h('h1', {}, 'Exchanges'), h('div.filters', {}, search, h('label.check', {}, wrong, 'only what is wrong'), hold), open, tally, stage);

  function connections() {
    const now = JSON.stringify(state.open);
    if (now === drawnOpen) return;
    drawnOpen = now;
    fill(open, state.open.map(([number, provider, channel, tasks, frames]) => h('a.line', { href: `#/exchanges/open/${number}` }, h('i.pulse'), h('strong', {}, `${provider} ${channel}`), h('span', {}, tasks.join(', ')), h('span', {}, h('b', {}, count(frames)), ' frames'))));
    if (live !== null && !busy) look();
  }

  async function look() {
    busy = true;
    try {
      const shown = await ask(`/feeds/${live}`);
      const scrolled = detail.scrollTop;
      const open = [...detail.querySelectorAll('details')].map((one) => one.open);
      draw(detail, shown);
      // Frames are only added, so what was open keeps its place.
      detail.querySelectorAll('details').forEach((one, index) => { one.open = open[index] ?? false; });
      detail.scrollTop = scrolled;
    } catch {
      live = null; // it is over: what was shown stays
    }
    busy = false;
  }

  function update(asked) {
    connections();
    if (!held) kept = state.exchanges.toReversed();
    else if (!asked) return;
    const text = search.value.trim().toLowerCase();
    const items = kept.filter((one) => (!wrong.checked || one.wrong) && (!text || `${one.method} ${one.path} ${one.provider} ${one.operation} ${one.status} ${one.tasks.join(' ')} ${one.rules.join(' ')}`.toLowerCase().includes(text)));
    list.set(items);
    nothing.hidden = items.length > 0;
    tally.textContent = state.crossed ? `${count(state.crossed)} in all; ${count(state.exchanges.length)} kept in this page${state.passed ? `, ${count(state.passed)} passed over while it was busy` : ''}. Credentials never leave the server.` : '';
  }

  async function go([number, connection]) {
    live = number === 'open' ? Number(connection) : null;
    if (live !== null) {
      stage.classList.add('open');
      detail.hidden = false;
      list.chosen = null;
      list.draw();
      await look();
      return;
    }
    stage.classList.toggle('open', number !== undefined);
    detail.hidden = number === undefined;
    list.chosen = number === undefined ? null : Number(number);
    list.draw();
    if (number === undefined) return;
    try {
      draw(detail, await ask(`/exchanges/${Number(number)}`));
    } catch (error) {
      fill(detail, close(), empty('Not kept', error.message));
    }
    detail.scrollTop = 0;
  }
  return { element, update: () => update(false), go, ready: () => go(parts), escape: () => { location.hash = '#/exchanges'; list.element.focus(); } };
}

const close = () => h('button.quiet.close', { type: 'button', 'aria-label': 'Close', onclick: () => { location.hash = '#/exchanges'; } }, icon('close'));

function draw(place, one) {
  const { request, response } = one;
  const socket = response.status === 101;
  fill(place,
    h('div.head', {}, h('h2', {}, `${socket ? 'WS' : request.method} `, h('span', {}, one.operation ?? 'no such operation')), close()),
    h('p.states', {}, h(`span.status.s${String(response.status)[0]}`, {}, response.status), h('span', {}, one.provider), h('span', {}, time(one.at)), one.tasks.slice(0, 6).map((id) => h('a', { href: `#/tasks/${encodeURIComponent(one.provider)}/${encodeURIComponent(id)}` }, id))),
    h('p.address', {}, request.path, request.query ? `?${request.query}` : ''),
    socket ? null : h('div.actions.left', {}, h('button', { type: 'button', onclick: async () => copy(await asCurl(one), one.request.base64 ? 'Put the bytes sent in a file named body; curl command' : 'curl command') }, icon('copy'), 'Copy as curl')),
    one.rules.length ? h('div.note', {}, 'Shaped by ', one.rules.map((rule, index) => [index ? ', ' : '', h('code', {}, rule)]), '; see ', h('a', { href: '#/scenarios' }, 'scenarios'), '.') : null,
    one.number === 0 ? h('div.note', {}, 'Open; new frames show as they come.') : null,
    response.status >= 400 ? refused(one) : socket || one.violations.length ? null : h('p.kept', {}, 'Keeps the contract.'),
    one.violations.map(broken),
    part('Request', request),
    one.frames.length ? [h('h3', {}, `Frames (${one.frames.length})`), h('ol.frames', {}, one.frames.map((frame) => h('li', { className: frame.sent ? 'sent' : 'heard' }, h('details', {}, h('summary', {}, h('time', {}, time(frame.at)), h('b', {}, frame.sent ? '↓ to client' : '↑ from client'), h('span', {}, (frame.body ?? `${frame.base64.length} bytes in base64`).slice(0, 90))), code(pretty(frame.body ?? frame.base64), 'Frame')))))] : part('Answer', response));
}

/** Why a call was declined: a rule of a scenario, or what the emulator noted of it. */
function refused(one) {
  const noted = state.problems.find((problem) => problem.after + 1 === one.number);
  const words = one.rules.length ? 'A scenario wanted it so.' : noted ? meaning(noted.rule.replace(/^refused-/, '')) : '';
  return h('div.note', {}, h('strong', {}, `Refused with ${one.response.status}. `), words, noted?.near ? [' Nearest: ', h('code', {}, noted.near)] : '', one.operation && !one.violations.length ? ' The request itself keeps its schema.' : '');
}

function broken(violation) {
  return h('div.why', { role: 'note', 'aria-label': 'What it breaks' },
    h('strong', {}, `The ${violation.in} breaks `, h('code', {}, violation.rule)),
    h('p', {}, violation.text),
    h('dl.facts', {}, [['Where', violation.at], ['Found', JSON.stringify(violation.got)], [wanted(violation.rule), written(violation.expected)]].filter(([, value]) => value !== undefined && value !== 'null').map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', { title: value }, value)))));
}

function part(title, { headers, body, base64 }) {
  return [
    h('h3', {}, title),
    h('details', {}, h('summary', {}, `Headers (${headers.length})`), h('dl.headers', {}, headers.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))),
    body ? code(pretty(body), title) : base64 ? h('p.soft', {}, `${count(Math.floor(base64.length * 0.75))} bytes that are no text`) : h('p.soft', {}, 'no body'),
  ];
}

const LEFT_OUT = new Set(['host', 'content-length', 'connection', 'accept-encoding', 'user-agent', 'transfer-encoding', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest', 'origin', 'referer', 'sec-ch-ua', 'sec-ch-ua-mobile', 'sec-ch-ua-platform', 'accept-language']);

/** Credentials were taken out by the server; `$API_KEY` stands for them. */
async function asCurl(one) {
  const { providers } = await overview();
  const provider = providers.find((candidate) => candidate.name === one.provider);
  const prefix = provider ? provider.url : location.origin + (world === 'main' ? '' : `/_mock/w/${world}`);
  const { method, path, query, headers, body, base64 } = one.request;
  return curl({
    method, body, file: base64 ? 'body' : undefined, url: prefix + path + (query ? `?${query}` : ''),
    headers: headers.filter(([name]) => !LEFT_OUT.has(name)).map(([name, value]) => [name, value.replace(/\*\*\*/, name === 'authorization' ? 'Bearer $API_KEY' : '$API_KEY')]),
  });
}
