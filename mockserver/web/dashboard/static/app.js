// The frame: clock, world, pages, keys. Each page is a module that makes an element and says how it is kept up to date.

import { day, fill, h, icon, say, span, time } from './dom.js';
import { change, changed, connect, now, openWorld, state, turn, visit, watch, world } from './store.js';
import { exchanges } from './exchanges.js';
import { problems } from './problems.js';
import { providers } from './providers.js';
import { reference } from './reference.js';
import { scenarios } from './scenarios.js';
import { tasks } from './tasks.js';
import { variants } from './variants.js';

const PAGES = [
  { path: '', name: 'Start', icon: 'home', make: providers },
  { path: 'tasks', name: 'Tasks', icon: 'tasks', make: tasks, badge: () => [...state.queues].reduce((sum, line) => sum + line[2] + line[3], 0) },
  { path: 'exchanges', name: 'Exchanges', icon: 'wire', make: exchanges },
  { path: 'scenarios', name: 'Scenarios', icon: 'flask', make: scenarios, badge: () => Object.keys(state.rules).length },
  { path: 'problems', name: 'Problems', icon: 'alert', make: problems, badge: () => state.problems.length, bad: true },
  { path: 'variants', name: 'Variants', icon: 'fork', make: variants },
  { path: 'api', name: 'API', icon: 'book', make: reference },
];
const RATES = [0, 1, 20, 100];
const JUMPS = [[10, '+10 s'], [60, '+1 min'], [600, '+10 min'], [3600, '+1 h']];

// Pages

const main = document.getElementById('main');
let shown = { update() {}, stop() {} };
let current = null;

function route() {
  const [path, ...rest] = decodeURI(location.hash.replace(/^#\/?/, '')).split('/');
  const page = PAGES.find((one) => one.path === path) ?? PAGES[0];
  const parts = rest.map(decodeURIComponent);
  if (page === current && shown.go) {
    shown.go(parts);
    return;
  }
  shown.stop?.();
  current = page;
  document.title = page.path ? `${page.name} · mockserver` : 'mockserver';
  document.body.dataset.page = page.path || 'start';
  for (const link of document.querySelectorAll('#nav a')) {
    if (link.dataset.path === page.path) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  shown = page.make(parts);
  fill(main, shown.element);
  main.scrollTop = 0;
  shown.ready?.();
  shown.update?.();
}

function navigation() {
  const nav = document.getElementById('nav');
  const badges = [];
  fill(nav, PAGES.map((page, index) => {
    const badge = h('span.badge', { hidden: true });
    if (page.badge) badges.push([page, badge]);
    return h('a', { href: `#/${page.path}`, 'data-path': page.path, title: `Key ${index + 1}` }, icon(page.icon), h('span', {}, page.name), badge);
  }));
  watch(() => {
    for (const [page, badge] of badges) {
      const number = page.badge();
      badge.hidden = number === 0;
      badge.textContent = number > 999 ? '999+' : number;
      badge.classList.toggle('bad', Boolean(page.bad));
    }
  });
}

// The clock

function clock() {
  const moment = h('time', { id: 'moment' });
  const date = h('span.date');
  const next = h('span.next');
  const rates = RATES.map((rate) => h('button', { type: 'button', 'data-rate': rate, 'aria-pressed': 'false', 'aria-label': rate ? `Run ${rate} times as fast as real` : 'Pause', title: rate ? `${rate}× real time` : 'Pause: time is turned by hand (Space)', onclick: () => turn({ rate }) }, rate ? `${rate}×` : icon('pause')));
  const other = h('span.other', { hidden: true });
  fill(document.getElementById('clock'),
    h('div.now', {}, moment, h('div.beside', {}, date, next)),
    h('div.seg', { role: 'group', 'aria-label': 'Rate' }, rates, other),
    h('div.seg', { role: 'group', 'aria-label': 'Jump' },
      h('button', { type: 'button', title: 'To the next event (N)', onclick: () => turn({ next: true }) }, icon('next'), h('span', {}, 'Next')),
      JUMPS.map(([seconds, label]) => h('button.jump', { type: 'button', title: `Let ${label.slice(1)} pass at once`, onclick: () => turn({ jump: seconds }) }, label))));
  const tick = () => {
    const at = now();
    moment.textContent = time(at);
    date.textContent = `${day(at)} UTC`;
    const { next: due, rate } = state.clock;
    next.textContent = due === null ? 'nothing is due' : `next event in ${span(Math.max(0, due - at))}`;
    for (const button of rates) button.setAttribute('aria-pressed', String(Number(button.dataset.rate) === rate));
    other.hidden = RATES.includes(rate);
    other.textContent = `${rate}×`;
    document.body.classList.toggle('paused', rate === 0);
  };
  watch(tick);
  setInterval(() => { if (state.clock.rate && !document.hidden) tick(); }, 200);
}

// World, theme, help

function tools() {
  const live = h('span.live', { role: 'img', 'aria-label': 'Connecting' });
  const lost = h('span.lost', { role: 'status', hidden: true });
  const worlds = h('select', { 'aria-label': 'World', title: 'World: each has its own clock, tasks and scenarios', onchange: () => {
    if (worlds.value === '+') worldDialog();
    else visit(worlds.value);
    worlds.value = world;
  } });
  let drawn = '';
  fill(document.getElementById('tools'), lost, live, worlds,
    h('button.quiet', { type: 'button', 'aria-label': 'Begin this world again', title: 'Begin this world again: no tasks, clock at its start', onclick: resetDialog }, icon('reset')),
    h('button.quiet', { type: 'button', 'aria-label': 'Dark or light', title: 'Dark or light', onclick: theme }, icon('sun')),
    h('button.quiet.wide', { type: 'button', 'aria-label': 'Keys', title: 'Keys (?)', onclick: keysDialog }, icon('keys')));
  watch(() => {
    live.className = `live ${state.live ? 'on' : 'off'}`;
    const text = state.gone ? `The world ${world} is gone` : state.live ? 'Live' : 'No connection; trying again';
    live.setAttribute('aria-label', text);
    live.title = text;
    lost.hidden = !state.lost;
    if (state.lost && lost.textContent !== text) lost.textContent = text;
    const listed = [...new Set([...state.worlds, world])];
    if (drawn !== listed.join()) {
      drawn = listed.join();
      fill(worlds, listed.map((id) => h('option', { value: id }, id)), h('option', { value: '+' }, 'new world…'));
      worlds.value = world;
    }
  });
}

function theme() {
  const dark = document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  setTheme(dark === 'dark' ? 'light' : 'dark');
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem('theme', name);
}

function dialog(title, ...content) {
  const box = h('dialog', { 'aria-label': title, onclose: () => box.remove(), onclick: (event) => { if (event.target === box) box.close(); } },
    h('div.inside', {}, h('header', {}, h('h2', {}, title), h('button.quiet', { type: 'button', 'aria-label': 'Close', onclick: () => box.close() }, icon('close'))), content));
  document.body.append(box);
  box.showModal();
  return box;
}

function resetDialog() {
  const box = dialog('Begin this world again?', h('p', {}, 'Tasks, files and everything recorded go; the clock returns to its start. Scenarios stay in force and count anew.'),
    h('div.actions', {}, h('button', { type: 'button', onclick: () => box.close() }, 'Keep it'),
      h('button.danger', { type: 'button', onclick: async () => { if (await change('POST', '/reset')) say('The world began again'); box.close(); } }, 'Begin again')));
}

function worldDialog() {
  const id = h('input', { name: 'id', autofocus: true, placeholder: 'chosen for you', pattern: '[A-Za-z0-9_\\-]+' });
  const seed = h('input', { name: 'seed', type: 'number', placeholder: '0' });
  const rate = h('input', { name: 'rate', type: 'number', min: 0, step: 'any', placeholder: '1; 0 is by hand' });
  const form = h('form', { onsubmit: async (event) => {
    event.preventDefault();
    const wanted = {};
    if (id.value) wanted.id = id.value;
    if (seed.value) wanted.seed = Number(seed.value);
    if (rate.value) wanted.rate = Number(rate.value);
    await openWorld(wanted);
  } }, h('label', {}, 'Name', id), h('label', {}, 'Seed', seed), h('label', {}, 'Rate', rate), h('div.actions', {}, h('button.primary', {}, 'Make it')));
  dialog('New world', h('p', {}, 'A world has its own clock, tasks, files and scenarios; parallel tests share a server that way.'), form);
}

const KEYS = [
  ['1 – 7', 'the pages'], ['Space', 'pause, or run on'], ['N', 'to the next event'], ['J', 'a minute passes'],
  ['/', 'search'], ['↑ ↓ Home End', 'through a list'], ['Esc', 'close what is open'], ['?', 'this help'],
];

const keysDialog = () => dialog('Keys', h('dl.keys', {}, KEYS.map(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)])));

let before = 1;
function pause() {
  if (state.clock.rate) before = state.clock.rate;
  turn({ rate: state.clock.rate ? 0 : before });
}

addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select, dialog');
  if (event.key === 'Escape' && !typing) shown.escape?.();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const page = PAGES[Number(event.key) - 1];
  if (page) location.hash = `#/${page.path}`;
  else if (event.key === ' ' && !event.target.closest('button, a, summary, .list, pre')) pause();
  else if (event.key === 'n') turn({ next: true });
  else if (event.key === 'j') turn({ jump: 60 });
  else if (event.key === '?') keysDialog();
  else if (event.key === '/') document.querySelector('#main input[type=search]')?.focus();
  else return;
  event.preventDefault();
});

const chosen = localStorage.getItem('theme');
if (chosen) setTheme(chosen);
navigation();
clock();
tools();
watch(() => shown.update?.());
addEventListener('hashchange', route);
document.addEventListener('visibilitychange', changed);
route();
connect();
changed();

