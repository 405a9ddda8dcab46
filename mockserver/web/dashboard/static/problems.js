// Problems: near misses, refusals, and answers of the emulator's own that broke their schema.

import { empty, fill, h } from './dom.js';
import { state } from './store.js';
import { meaning, wanted, written } from './words.js';

const SHOWN = 300;

export function problems() {
  const search = h('input', { type: 'search', placeholder: 'Search…', 'aria-label': 'Search problems', oninput: () => { drawn = null; update(); } });
  const list = h('ul.problems');
  const nothing = empty('Nothing to object to', 'Requests that break their schema, unknown paths and refusals show here.');
  const element = h('div.page', {}, h('h1', {}, 'Problems'), h('p.lead', {}, 'What a person should look at: what a client nearly got right, what was refused and why.'), h('div.filters', {}, search), nothing, list);
  let drawn = null;
  function update() {
    if (drawn === state.problems) return;
    drawn = state.problems;
    const text = search.value.trim().toLowerCase();
    const found = state.problems.filter((one) => !text || JSON.stringify(one).toLowerCase().includes(text)).reverse();
    fill(list, found.slice(0, SHOWN).map(problem), found.length > SHOWN ? h('li.soft', {}, `and ${found.length - SHOWN} older ones`) : null);
    list.hidden = !found.length;
    nothing.hidden = found.length > 0;
  }
  return { element, update };
}

function problem({ rule, operation, at, path, near, text, expected, got, after, ...more }) {
  const condition = rule.replace(/^refused-/, '');
  const words = meaning(condition);
  const facts = [['Where', at], ['Path', path], ['Nearest', near], ['Found', got === undefined || got === null ? undefined : JSON.stringify(got)], [wanted(rule), written(expected)], ...Object.entries(more).map(([name, value]) => [name[0].toUpperCase() + name.slice(1), written(value)])];
  return h('li', {}, h('header', {}, h('code', {}, rule), operation ? h('span', {}, operation) : null, after === undefined ? null : h('a', { href: `#/exchanges/${after + 1}` }, `exchange ${after + 1}`)),
    h('p', {}, words === condition ? text ?? '' : [words, text && text !== condition ? h('small', {}, ` ${text}`) : null]),
    h('dl.facts', {}, facts.filter(([, value]) => value !== undefined && value !== null && value !== '').map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', { title: value }, value)))));
}
