// Scenarios: what is in force with its counts, what the library holds, and one error on demand.

import { change, ask, overview, state } from './store.js';
import { empty, fill, h, icon, say } from './dom.js';

export function scenarios() {
  const force = h('div.force');
  const library = h('ul.library');
  const search = h('input', { type: 'search', placeholder: 'Search the library…', 'aria-label': 'Search scenarios', oninput: () => draw() });
  const name = h('input', { required: true, placeholder: 'name of an error', 'aria-label': 'Error', autocomplete: 'off' });
  const times = h('select', { 'aria-label': 'How often' }, [['1', 'once'], ['3', 'three times'], ['', 'until taken off']].map(([value, text]) => h('option', { value }, text)));
  const errors = h('datalist', { id: 'errors' });
  name.setAttribute('list', 'errors');
  const form = h('form.inline', { onsubmit: async (event) => {
    event.preventDefault();
    if (await change('POST', '/fail', { error: name.value.trim(), times: times.value ? Number(times.value) : null })) say(`${name.value.trim()} comes ${times.selectedOptions[0].textContent}`);
  } }, h('span', {}, 'Fail the next call or task with'), name, errors, times, h('button.primary', {}, 'Fail it'));
  const element = h('div.page', {}, h('h1', {}, 'Scenarios'), h('p.lead', {}, 'What goes wrong, on demand. A scenario acts on what comes after it was put in force.'), form,
    h('h2', {}, 'In force'), force, h('h2', {}, 'Library'), search, library);
  let known = {};
  let drawn = '';

  ask('/scenarios').then((found) => { known = found.library; draw(); }, (error) => say(error.message, true));
  overview().then((found) => fill(errors, [...new Set(found.providers.flatMap((provider) => provider.errors))].sort().map((value) => h('option', { value }))));

  function draw() {
    const text = search.value.trim().toLowerCase();
    fill(library, Object.entries(known).filter(([id, line]) => `${id} ${line}`.toLowerCase().includes(text)).map(([id, line]) => {
      const on = id in state.rules;
      return h('li', { className: on ? 'on' : '' }, h('div', {}, h('strong', {}, id), h('p', {}, line)),
        h('button', { type: 'button', role: 'switch', 'aria-checked': String(on), 'aria-label': id, onclick: () => toggle(id, on) }, h('i')));
    }));
  }
  function update() {
    const rules = JSON.stringify(state.rules);
    if (rules === drawn) return;
    drawn = rules;
    fill(force, Object.keys(state.rules).length ? Object.entries(state.rules).map(([id, hits]) => h('div.rule', {},
      h('div', {}, h('strong', {}, id), h('table', {}, h('thead', {}, h('tr', {}, ['Rule', 'Matched', 'Acted'].map((title) => h('th', { scope: 'col' }, title)))), h('tbody', {}, Object.entries(hits).map(([rule, [matched, acted]]) => h('tr', {}, h('td', {}, h('code', {}, rule)), h('td', {}, matched), h('td', { className: acted ? 'acted' : '' }, acted)))))),
      h('button', { type: 'button', onclick: () => toggle(id, true) }, icon('close'), 'Take off'))) : empty('All goes well', 'No scenario is in force. Switch one on below.'));
    draw();
  }
  return { element, update };
}

async function toggle(id, on) {
  if (await change(on ? 'DELETE' : 'PUT', `/scenarios/${encodeURIComponent(id)}`)) say(on ? `${id} is off` : `${id} is in force`);
}
