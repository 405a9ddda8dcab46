// Tasks: the lines and their slots, each task as a bar on a timeline, and one task wholly.

import { code, copyButton, count, empty, fill, h, icon, span, time } from './dom.js';
import { List } from './list.js';
import { ask, fileUrl, now, state } from './store.js';
import { meaning } from './words.js';

const PHASES = { all: 'All', queued: 'Queued', running: 'Running', done: 'Done', failed: 'Failed', ended: 'Cancelled' };
const KEPT_SEGMENTS = 24;

export function tasks(parts) {
  const lines = h('div.lines', { 'aria-label': 'Lines and slots', role: 'group', tabIndex: 0 });
  const search = h('input', { type: 'search', placeholder: 'Search id, provider, state…', 'aria-label': 'Search tasks', oninput: () => update() });
  const chips = Object.entries(PHASES).map(([phase, name]) => h('button.chip', { type: 'button', 'data-phase': phase, 'aria-pressed': String(phase === 'all'), onclick: () => { wanted = phase; update(); } }, name, h('span')));
  const axis = h('div.axis', { 'aria-hidden': 'true' });
  const nothing = empty('No tasks yet', 'Send a first request from the ', h('a', { href: '#/' }, 'start page'), ', or point your client here.');
  let wanted = 'all';
  let from = 0;
  let to = 1;

  const list = new List({
    label: 'Tasks, newest first', height: 34,
    make: () => {
      const row = h('div.task', {}, h('i.dot'), h('span.id'), h('span.who'), h('span.state'), h('div.track', {}, h('div.wait'), h('div.run'), h('span.mark')));
      const [dot, id, who, is, track] = row.children;
      row.parts = { dot, id, who, is, wait: track.children[0], run: track.children[1], mark: track.children[2] };
      return row;
    },
    show: (row, task) => showRow(row, task, from, to),
    moves: (task) => task.finished === null,
    open: (task) => { location.hash = `#/tasks/${encodeURIComponent(task.provider)}/${encodeURIComponent(task.id)}`; },
  });
  list.element.id = 'tasks';
  list.before = () => {
    [from, to] = extent(list.visible());
    const stamp = `${from}/${to}`;
    if (stamp !== list.stamp) drawAxis(axis, from, to);
    list.stamp = stamp;
  };
  new ResizeObserver(() => drawAxis(axis, from, to)).observe(axis);

  const detail = h('aside.detail', { 'aria-label': 'The chosen task', hidden: true });
  const stage = h('div.split', {}, h('div.master', {}, h('div.legend', {}, axis), list.element, nothing), detail);
  const element = h('div.page.tall', {}, h('h1', {}, 'Tasks'), lines, h('div.filters', {}, search, h('div.chips', { role: 'group', 'aria-label': 'State' }, chips)), stage);
  const one = taskDetail(detail);

  let drawn = '';
  function update() {
    const text = search.value.trim().toLowerCase();
    const all = [...state.tasks.values()].sort((a, b) => b.created - a.created || b.number - a.number);
    const counts = { all: all.length };
    for (const task of all) counts[task.phase] = (counts[task.phase] ?? 0) + 1;
    for (const chip of chips) {
      chip.lastChild.textContent = counts[chip.dataset.phase] ? count(counts[chip.dataset.phase]) : '';
      chip.setAttribute('aria-pressed', String(chip.dataset.phase === wanted));
      chip.hidden = chip.dataset.phase !== 'all' && chip.dataset.phase !== wanted && !counts[chip.dataset.phase];
    }
    const items = all.filter((task) => (wanted === 'all' || task.phase === wanted) && (!text || `${task.key} ${task.state} ${task.failure ?? ''}`.toLowerCase().includes(text)));
    list.set(items);
    nothing.hidden = items.length > 0;
    if (!items.length && all.length) fill(nothing, h('strong', {}, 'Nothing fits'), h('p', {}, 'No task fits the search and the state chosen.'));
    const queues = JSON.stringify([state.queues, state.held]);
    if (queues !== drawn) { drawn = queues; drawLines(lines); }
    one.update();
  }

  const moving = setInterval(() => { if (state.clock.rate && !document.hidden && state.queues.some((line) => line[3])) list.draw(); }, 120);
  const go = ([provider, id]) => {
    one.show(provider, id);
    list.chosen = id === undefined ? null : `${provider}/${id}`;
    stage.classList.toggle('open', id !== undefined);
    list.draw();
  };
  return { element, update, go, ready: () => go(parts), stop: () => clearInterval(moving), escape: () => { location.hash = '#/tasks'; list.element.focus(); } };
}

function drawLines(place) {
  fill(place, state.queues.map(([provider, line, waiting, running, slots]) => {
    const pips = slots <= 24
      ? h('span.pips', { 'aria-hidden': 'true' }, Array.from({ length: slots }, (_, index) => h(index < running ? 'i.on' : 'i')))
      : h('span.pips', { 'aria-hidden': 'true' }, h('progress', { max: slots, value: running }));
    return h('div.line', {}, h('strong', {}, provider, line ? h('small', {}, ` ${line}`) : null), pips,
      h('span', {}, h('b', {}, count(running)), `/${count(slots)} running`), waiting ? h('span', {}, h('b', {}, count(waiting)), ' waiting') : null);
  }), state.held.length ? h('div.line', { title: state.held.map((one) => one.what).join('\n') }, h('i.pulse'), h('span', {}, h('b', {}, count(state.held.length)), ` answer${state.held.length > 1 ? 's' : ''} held: `, state.held[0].what)) : null);
}

/** The stretch of time that the visible rows span, moved in steps: bars that do not change stay where they are. */
function extent(visible) {
  const at = now();
  let first = Infinity;
  let last = -Infinity;
  for (const task of visible) {
    first = Math.min(first, task.created);
    last = Math.max(last, task.finished ?? at);
  }
  if (first === Infinity) return [at - 60, at];
  const step = 2 ** Math.ceil(Math.log2(Math.max(1, (last - first) / 16)));
  // Behind a bar that grows stands how far it is.
  const room = visible.some((task) => task.finished === null) ? Math.max(step, (last - first) * 0.25) : step / 2;
  return [Math.floor((first - step / 4) / step) * step, Math.ceil((last + room) / step) * step];
}

function drawAxis(axis, from, to) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400, 604800];
  const room = Math.max(1, Math.floor(axis.clientWidth / 86));
  const step = steps.find((one) => (to - from) / one <= room) ?? 2592000;
  const marks = [];
  // A time that would be cut off at the end is left out.
  const end = to - ((to - from) * 66) / Math.max(66, axis.clientWidth);
  for (let at = Math.ceil(from / step) * step; at < end; at += step) marks.push(at);
  while (axis.children.length < marks.length) axis.append(h('span'));
  while (axis.children.length > marks.length) axis.lastChild.remove();
  marks.forEach((at, index) => {
    axis.children[index].style.left = `${((at - from) / (to - from)) * 100}%`;
    axis.children[index].textContent = time(at);
  });
}

function showRow(row, task, from, to) {
  const { dot, id, who, is, wait, run, mark } = row.parts;
  const at = now();
  if (row.phase !== task.phase) {
    row.phase = task.phase;
    row.className = `task ${task.phase}`;
    dot.title = PHASES[task.phase];
  }
  if (id.textContent !== task.id) id.textContent = id.title = task.id;
  if (who.textContent !== task.provider) who.textContent = task.provider;
  const text = task.failure ?? task.state;
  if (is.textContent !== text) is.textContent = text;
  const besides = text === task.state ? '' : task.state;
  if (is.title !== besides) is.title = besides;
  // A tenth of a percent is less than a pixel: what has not moved by one is not laid out again.
  const place = (moment) => Math.round(((moment - from) / (to - from)) * 1000) / 10;
  const end = task.finished ?? Math.max(at, task.started ?? task.created);
  const began = task.started ?? end;
  wait.style.left = `${place(task.created)}%`;
  wait.style.width = `${Math.max(0, place(began) - place(task.created))}%`;
  run.hidden = task.started === null;
  if (!run.hidden) {
    const share = task.duration > 0 ? Math.min(1, (end - task.started) / task.duration) : 1;
    run.style.left = `${place(task.started)}%`;
    run.style.width = `${Math.max(0.25, place(end) - place(task.started))}%`;
    const painted = `${task.plan}/${share.toFixed(2)}/${task.phase}`;
    if (run.dataset.painted !== painted) {
      run.dataset.painted = painted;
      run.style.backgroundImage = segments(state.plans[task.plan], share);
    }
  }
  // Where there is no room after the bar, the mark stands before it; where there is none either, on it.
  const before = place(end) > 86;
  mark.style.left = `${before && place(task.created) > 34 ? place(task.created) : Math.min(place(end), 100)}%`;
  mark.classList.toggle('before', before);
  const told = task.phase === 'running' ? `${Math.floor(task.progress * 100)}% ${nodeAt(task, at)}` : task.phase === 'queued' ? (task.position ? `#${task.position}` : '') : '';
  if (mark.textContent !== told) mark.textContent = told;
  const label = `${task.id}, ${task.provider}, ${text}${told ? `, ${told}` : ''}`;
  if (row.ariaLabel !== label) row.ariaLabel = label;
}

/** The class of the node that runs now, as the plan has it. */
function nodeAt(task, at) {
  const share = task.duration > 0 ? (at - task.started) / task.duration : 1;
  return state.plans[task.plan]?.findLast(([, , start]) => start <= share)?.[1] ?? '';
}

/** Stripes of a run, one for each node; those too thin to see share one. */
function segments(plan, share) {
  if (!plan?.length || share <= 0) return 'none';
  const stops = [];
  let shade = 0;
  for (const [, , start, end] of plan.filter((node) => node[3] - node[2] > 1 / KEPT_SEGMENTS / 4)) {
    if (start >= share) break;
    const tone = `var(--node-${shade % 3})`;
    stops.push(`${tone} ${((start / share) * 100).toFixed(2)}% ${((Math.min(end, share) / share) * 100).toFixed(2)}%`);
    shade += 1;
  }
  return stops.length > 1 ? `linear-gradient(90deg, ${stops.join(', ')})` : 'none';
}

function taskDetail(place) {
  let chosen = null;
  let known = '';
  let busy = false;

  async function load() {
    const [provider, id] = chosen;
    busy = true;
    try {
      const task = await ask(`/tasks/${encodeURIComponent(provider)}/${encodeURIComponent(id)}`);
      if (chosen && chosen[0] === provider && chosen[1] === id) draw(task);
    } catch (error) {
      fill(place, close(), empty('Not here any more', error.message));
    }
    busy = false;
  }

  const close = () => h('button.quiet.close', { type: 'button', 'aria-label': 'Close', onclick: () => { location.hash = '#/tasks'; } }, icon('close'));

  function draw(task) {
    const open = new Set([...place.querySelectorAll('details')].filter((one) => one.open).map((one) => one.dataset.name));
    const scrolled = place.scrollTop;
    const file = (what, index, text, media, shown = true) => {
      const url = fileUrl(what, task.provider, index, task.id);
      if (!shown) return h('figure', {}, h('div.noimage', {}, 'not here'), h('figcaption', { title: text }, text));
      return h('figure', {}, /^image\//.test(media) ? h('a', { href: url, target: '_blank', rel: 'noopener' }, h('img', { src: url, alt: text, loading: 'lazy' })) : h('a.noimage', { href: url, target: '_blank', rel: 'noopener' }, media), h('figcaption', { title: text }, text));
    };
    fill(place,
      h('div.head', {}, h('h2', {}, task.id, copyButton(task.id, 'id')), close()),
      h('p.states', {}, h(`span.pill.${task.phase}`, {}, task.state), h('span', {}, task.provider), task.phase === 'queued' && task.position ? h('span', {}, `number ${task.position} of ${task.line} in line`) : null),
      task.failure ? why(task) : task.cause ? h('div.note', {}, 'Shaped by the rule ', h('code', {}, task.cause), '.') : null,
      h('div.meter', {}, h('progress', { max: 1, value: task.progress, 'aria-label': 'Progress' }), h('span', {}, `${Math.floor(task.progress * 100)}%`)),
      facts(task),
      task.files.length ? [h('h3', {}, 'Results'), h('div.pictures', {}, task.files.map((one, index) => file('files', index, one.name, one.media)))] : null,
      task.given.length ? [h('h3', {}, 'Input files'), h('div.pictures', {}, task.given.map((one, index) => file('given', index, one.value, 'image/*', one.shown)))] : null,
      h('h3', {}, 'Nodes'), nodes(task),
      section('events', `Events (${task.events.length})`, h('ol.events', { tabIndex: 0, 'aria-label': 'Events' }, task.events.map((event) => h('li', {}, h('time', {}, time(event.at)), h('span', {}, event.name), h('small', {}, event.node ? `node ${event.node}${event.step ? `, step ${event.step}` : ''}` : ''))))),
      section('inputs', 'What was asked', code(JSON.stringify(task.request ?? task.overrides, null, 2) ?? 'null', 'The request')),
      section('exchanges', `Exchanges (${task.exchanges.length})`, h('ul.events', { tabIndex: 0, 'aria-label': 'Exchanges' }, task.exchanges.map((one) => h('li', {}, h('time', {}, time(one.at)), h('a', { href: `#/exchanges/${one.n}` }, `${one.method} ${one.operation ?? ''}`), h('small', {}, one.status))))));
    for (const one of place.querySelectorAll('details')) one.open = open.has(one.dataset.name);
    place.scrollTop = scrolled;
  }

  return {
    show(provider, id) {
      if (id === undefined) { chosen = null; place.hidden = true; return; }
      if (chosen && chosen[0] === provider && chosen[1] === id) return;
      chosen = [provider, id];
      known = '';
      place.hidden = false;
      fill(place, h('p.soft', {}, 'Looking…'));
      place.scrollTop = 0;
    },
    update() {
      if (!chosen || busy) return;
      const row = state.tasks.get(`${chosen[0]}/${chosen[1]}`);
      const seen = JSON.stringify(row ?? null) + (row ? '' : Math.floor(performance.now() / 4000));
      if (seen === known) return;
      known = seen;
      load();
    },
  };
}

const section = (name, title, content) => h('details', { 'data-name': name }, h('summary', {}, title), content);

/** The cause of a failure in words: what, where, when, and the rule behind it. */
function why(task) {
  const { failure } = task;
  const node = task.nodes.find((one) => one.id === failure.node);
  const told = [
    ['Error', [h('code', {}, failure.name), failure.code !== null && failure.code !== undefined ? [', code ', h('code', {}, String(failure.code))] : '']],
    ['When', `${time(failure.at)}, ${Math.floor(task.progress * 100)}% into the run`],
    ['Cause', task.cause ? ['the rule ', h('code', {}, task.cause), ' of ', h('a', { href: '#/scenarios' }, 'a scenario'), ' wanted it'] : `${failure.conditions.map(meaning).join(' ')} No scenario had a part in it.`],
  ];
  return h('div.why', { role: 'note', 'aria-label': 'Why it failed' },
    h('strong', {}, node ? ['Failed at node ', node.id, ' ', node.class] : 'Failed'),
    h('p', {}, failure.message ?? failure.name),
    failure.details ? h('p.soft', {}, failure.details) : null,
    h('dl.told', {}, told.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])));
}

function facts(task) {
  const rows = [
    ['Submitted', time(task.created)],
    ['Waited', span((task.started ?? task.finished ?? now()) - task.created)],
    task.started === null ? null : ['Ran', `${span((task.finished ?? now()) - task.started)} of ${span(task.duration)}`],
    task.finished === null ? null : ['Ended', time(task.finished)],
    ...Object.entries(task.uses).map(([kind, id]) => [kind[0].toUpperCase() + kind.slice(1), id]),
  ].filter(Boolean);
  return h('dl.facts', {}, rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', { title: value }, value))));
}

function nodes(task) {
  return h('ol.nodes', {}, task.nodes.map((node) => {
    const done = node.state === 'finished' ? 1 : node.state === 'running' && node.steps ? node.step / node.steps : 0;
    const bar = h('i');
    bar.style.left = `${node.start * 100}%`;
    bar.style.width = `${Math.max(0.6, (node.end - node.start) * 100)}%`;
    const full = h('b');
    full.style.width = `${done * 100}%`;
    bar.append(full);
    const failed = task.failure?.node === node.id;
    return h('li', { className: failed ? 'failed' : node.state }, h('span.num', {}, node.id), h('span.class', { title: node.title }, node.class), h('span.lane', {}, bar), h('small', {}, failed ? 'failed' : node.state === 'running' && node.steps > 1 ? `${node.step}/${node.steps}` : node.state));
  }));
}
