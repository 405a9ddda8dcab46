// What is known of the world that is watched, and the way to ask and to change it.

import { say } from './dom.js';

const KEPT_TASKS = 20000;
const KEPT_EXCHANGES = 2000;
const KEPT_PROBLEMS = 1000;

export const world = new URLSearchParams(location.search).get('world') ?? 'main';
const base = world === 'main' ? '/_mock' : `/_mock/worlds/${encodeURIComponent(world)}`;

export const state = {
  live: false, lost: false, gone: false, overview: null, clock: { now: 0, rate: 0, next: null, start: 0 }, heard: 0,
  tasks: new Map(), plans: [], exchanges: [], crossed: 0, passed: 0, problems: [], queues: [], rules: {}, worlds: ['main'], held: [], open: [],
};

const FIELDS = ['provider', 'id', 'number', 'state', 'phase', 'created', 'started', 'finished', 'progress', 'position', 'duration', 'plan', 'failure'];
const listeners = new Set();
let pending = false;

/** Call *look* after each change, at most once a frame; returns how to stop. */
export function watch(look) {
  listeners.add(look);
  return () => listeners.delete(look);
}

export function changed() {
  if (pending) return;
  pending = true;
  const tell = () => {
    pending = false;
    for (const look of [...listeners]) look();
  };
  // A page that is not seen gets no frames.
  if (document.hidden) setTimeout(tell, 500);
  else requestAnimationFrame(tell);
}

/** The world's moment now: what was heard, and what has passed since. */
export function now() {
  return state.clock.now + Math.min((performance.now() - state.heard) / 1000, 2) * state.clock.rate;
}

export async function ask(path, options) {
  const answer = await fetch(base + path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `${answer.status}`);
  return body;
}

/** Change something; a refusal is said aloud and gives null. */
export async function change(method, path, body) {
  try {
    return await ask(path, { method, headers: body === undefined ? {} : { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    say(error.message, true);
    return null;
  }
}

export const fileUrl = (what, provider, index, id) => `${base}/${what}/${encodeURIComponent(provider)}/${index}/${encodeURIComponent(id)}`;
export const turn = (how) => change('POST', '/clock', how);

/** Go to another world, at the page that is shown or at another. */
export const visit = (id, hash = '') => { location.href = (id === 'main' ? '/_mock/' : `/_mock/?world=${encodeURIComponent(id)}`) + hash; };

/** Make a world with words of a scenario's setting, and go there. */
export async function openWorld(wanted, hash) {
  try {
    const answer = await fetch('/_mock/worlds', { method: 'POST', body: JSON.stringify(wanted) });
    const made = await answer.json();
    if (!answer.ok) throw new Error(made.error);
    visit(made.id, hash);
  } catch (error) {
    say(error.message, true);
  }
}

export async function overview() {
  state.overview ??= await ask('/overview');
  return state.overview;
}

function take(message) {
  if (message.begin !== undefined) {
    state.tasks.clear();
    Object.assign(state, { plans: [], exchanges: [], crossed: 0, passed: 0, problems: [], queues: [], open: [] });
  }
  state.clock = message.clock;
  state.heard = performance.now();
  if (message.plans) state.plans.push(...message.plans);
  for (const row of message.tasks ?? []) {
    const task = {};
    FIELDS.forEach((name, index) => { task[name] = row[index]; });
    task.key = `${task.provider}/${task.id}`;
    state.tasks.set(task.key, task);
  }
  for (const [provider, id] of message.gone ?? []) state.tasks.delete(`${provider}/${id}`);
  for (const key of state.tasks.keys()) {
    if (state.tasks.size <= KEPT_TASKS) break;
    state.tasks.delete(key);
  }
  if (message.exchanges) {
    const last = state.exchanges.at(-1)?.n ?? message.exchanges[0].n - 1;
    state.passed += message.exchanges[0].n - last - 1;
    state.exchanges.push(...message.exchanges);
    if (state.exchanges.length > KEPT_EXCHANGES) state.exchanges.splice(0, state.exchanges.length - KEPT_EXCHANGES);
  }
  if (message.problems) state.problems = [...state.problems, ...message.problems].slice(-KEPT_PROBLEMS);
  for (const name of ['crossed', 'queues', 'rules', 'worlds', 'held', 'open']) if (message[name] !== undefined) state[name] = message[name];
  changed();
}

let patience = 500;

export function connect() {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${base}/feed`);
  socket.onopen = () => { Object.assign(state, { live: true, lost: false }); patience = 500; };
  socket.onmessage = (event) => take(JSON.parse(event.data));
  socket.onclose = (event) => {
    Object.assign(state, { live: false, lost: true });
    state.gone = event.code === 4404;
    changed();
    if (!state.gone) setTimeout(connect, patience);
    patience = Math.min(patience * 2, 8000);
  };
}
