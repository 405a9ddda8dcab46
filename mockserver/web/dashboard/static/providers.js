// The start page: who is served, at which address, and a first request that works as it is.

import { code, copy, copyButton, curl, fill, h, icon, pretty, say, span } from './dom.js';
import { overview, state } from './store.js';

export function providers() {
  const grid = h('div.cards');
  const element = h('div.page', {}, h('h1', {}, 'Start'), h('p.lead', {}, 'Point your client at a base address and keep its paths, or send a first request from here.'), strip(), grid);
  overview().then((found) => fill(grid, found.providers.map(card)), (error) => say(error.message, true));
  return { element, update: () => element.querySelector('.strip')?.refresh() };
}

function strip() {
  const figures = [['Tasks', () => state.tasks.size, '#/tasks'], ['Running', () => state.queues.reduce((sum, line) => sum + line[3], 0), '#/tasks'], ['Waiting', () => state.queues.reduce((sum, line) => sum + line[2], 0), '#/tasks'], ['Exchanges', () => state.crossed, '#/exchanges'], ['Problems', () => state.problems.length, '#/problems']];
  const numbers = figures.map(() => h('b', {}, '0'));
  const element = h('div.strip', {}, figures.map(([name, , href], index) => h('a', { href }, numbers[index], h('span', {}, name))));
  element.refresh = () => figures.forEach(([, value], index) => { numbers[index].textContent = value().toLocaleString('en'); });
  return element;
}

function card(provider) {
  const shown = h('div.request');
  const tabs = provider.requests.map((request, index) => h('button.chip', { type: 'button', 'aria-pressed': String(index === 0), onclick: () => choose(index) }, request.title));
  function choose(index) {
    const request = provider.requests[index];
    const command = curl({ method: request.method, url: request.url, headers: Object.entries(request.headers), body: JSON.stringify(request.body, null, 2) });
    const answer = h('div.answer', { 'aria-live': 'polite' });
    tabs.forEach((tab, at) => tab.setAttribute('aria-pressed', String(at === index)));
    fill(shown, code(command, 'First request'),
      h('div.actions.left', {},
        h('button.primary', { type: 'button', onclick: () => send(request, answer) }, icon('play'), 'Send it'),
        h('button', { type: 'button', onclick: () => copy(command, 'curl command') }, icon('copy'), 'Copy as curl')),
      answer);
  }
  if (provider.requests.length) choose(0);
  const moved = provider.variants.filter((variant) => variant.reading !== variant.default).length;
  return h('article.card', { 'data-provider': provider.name },
    h('header', {}, h('h2', {}, provider.name), h('span.soft', {}, provider.title)),
    h('p', {}, provider.summary),
    h('dl.bases', {}, provider.mounts.map((url, index) => [h('dt', {}, index ? 'or' : 'Base address'), h('dd', {}, h('code', {}, url), copyButton(url, 'base address'))]),
      provider.hosts.length ? [h('dt', {}, 'Stands for'), h('dd', {}, h('code', {}, provider.hosts[0]))] : null),
    provider.requests.length ? [h('h3', {}, 'First request'), tabs.length > 1 ? h('div.chips', {}, tabs) : null, shown] : null,
    h('footer', {}, h('a', { href: `#/api/${provider.name}` }, `${provider.operations} operations`), provider.channels.length ? h('a', { href: `#/api/${provider.name}` }, `${provider.channels.length} push channel${provider.channels.length > 1 ? 's' : ''}`) : null,
      h('a', { href: `#/variants/${provider.name}` }, `${provider.variants.length} variants${moved ? `, ${moved} moved` : ''}`)));
}

async function send(request, place) {
  const headers = { ...request.headers };
  if (Object.values(headers).some((value) => value.includes('$API_KEY'))) {
    say('This server takes only the keys it was given; copy the command and put yours in', true);
    return;
  }
  const began = performance.now();
  try {
    const answer = await fetch(request.url, { method: request.method, headers, body: JSON.stringify(request.body) });
    const text = await answer.text();
    fill(place, h('p', {}, h(`span.status.s${String(answer.status)[0]}`, {}, answer.status), ` in ${span((performance.now() - began) / 1000)}; `, h('a', { href: '#/tasks' }, 'watch the task')), code(pretty(text), 'Answer'));
  } catch (error) {
    fill(place, h('p.soft', {}, `No answer came: ${error.message}. That can be what a scenario wants.`));
  }
}
