// Variants: what a provider's documentation leaves open, the readings there are, and the one in force.

import { copyButton, fill, h, say } from './dom.js';
import { said, sources } from './sources.js';
import { openWorld, overview } from './store.js';

export function variants(parts) {
  const search = h('input', { type: 'search', placeholder: 'Search questions…', 'aria-label': 'Search variants', oninput: () => draw() });
  const tabs = h('div.chips', { role: 'group', 'aria-label': 'Provider' });
  const list = h('div.questions');
  const element = h('div.page', {}, h('h1', {}, 'Variants'), h('p.lead', {}, 'Open questions of the documentation. Copy a reading as an option for the start, or try it in a world of its own; your client should survive each.'), h('div.filters', {}, search, tabs), list);
  let found = null;
  let chosen = parts[0];
  const go = ([name]) => { chosen = name; draw(); };
  function draw() {
    if (!found) return;
    const provider = found.providers.find((one) => one.name === chosen) ?? found.providers[0];
    fill(tabs, found.providers.map((one) => h('button.chip', { type: 'button', 'aria-pressed': String(one === provider), onclick: () => { location.hash = `#/variants/${one.name}`; } }, one.name, h('span', {}, one.variants.length))));
    const text = search.value.trim().toLowerCase();
    fill(list, provider.variants.filter((one) => !text || JSON.stringify(one).toLowerCase().includes(text)).map((variant) => h('section.question', {},
      h('h2', {}, variant.asks), h('p.soft', {}, h('code', {}, variant.name)),
      h('ul', {}, variant.readings.map((reading) => {
        const option = `--variant ${provider.name}.${variant.name}=${reading.name}`;
        const now = reading.name === variant.reading;
        return h('li', { className: now ? 'now' : '' }, h('div', {}, h('strong', {}, reading.name), now ? h('span.pill.done', {}, 'in force') : null, reading.name === variant.default ? h('span.pill', {}, 'default') : null, copyButton(option, `option ${option}`),
            now ? null : h('button.quiet.try', { type: 'button', title: 'Make a world in which it is read this way, and go there', onclick: () => openWorld({ variants: { [provider.name]: { [variant.name]: reading.name } } }, `#/variants/${provider.name}`) }, 'Try it')),
          h('p', {}, reading.why), h('p.soft', {}, said(provider, reading.source)));
      })))), sources(provider));
  }
  overview().then((answer) => { found = answer; draw(); }, (error) => say(error.message, true));
  return { element, go };
}
