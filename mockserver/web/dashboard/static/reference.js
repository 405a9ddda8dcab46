// The API of a provider as a page: operations, parameters, bodies and answers, push channels. From the served documents.

import { code, copyButton, empty, fill, h, say } from './dom.js';
import { said, sources } from './sources.js';
import { ask, overview } from './store.js';

const DEPTH = 7;

export function reference(parts) {
  const tabs = h('div.chips', { role: 'group', 'aria-label': 'Provider' });
  const search = h('input', { type: 'search', placeholder: 'Search operations…', 'aria-label': 'Search operations', oninput: () => filter() });
  const body = h('div.api');
  const element = h('div.page', {}, h('h1', {}, 'API'), h('div.filters', {}, search, tabs), body);
  let chosen = parts[0];

  function filter() {
    const text = search.value.trim().toLowerCase();
    for (const one of body.querySelectorAll('.operation')) one.hidden = Boolean(text) && !one.dataset.text.includes(text);
  }

  async function go([name]) {
    chosen = name;
    const { providers } = await overview();
    const provider = providers.find((one) => one.name === chosen) ?? providers[0];
    fill(tabs, providers.map((one) => h('button.chip', { type: 'button', 'aria-pressed': String(one === provider), onclick: () => { location.hash = `#/api/${one.name}`; } }, one.name)));
    const documents = Object.fromEntries(await Promise.all(provider.documents.map(async (file) => [file, await ask(`/${provider.name}/${file}`)])));
    draw(body, provider, documents);
    filter();
  }
  return { element, go: (rest) => go(rest).catch((error) => say(error.message, true)), ready: () => go(parts).catch((error) => say(error.message, true)) };
}

function draw(place, provider, documents) {
  const openapi = documents['openapi.json'];
  const asyncapi = documents['asyncapi.json'];
  const resolve = (schema) => follow(documents, schema);
  const operations = Object.entries(openapi.paths).flatMap(([path, item]) => Object.entries(item).filter(([, one]) => one?.operationId).map(([method, one]) => ({ path, method, ...one, shared: item.parameters ?? [] })));
  fill(place,
    h('section.about', {}, h('h2', {}, openapi.info.title, h('small', {}, ` ${openapi.info.version}`)), h('p', {}, openapi.info.description ?? openapi.info.summary),
      h('p', {}, openapi.servers.map((server) => [h('code', {}, server.url), copyButton(server.url, 'address'), ' '])),
      h('p', {}, provider.documents.map((file) => [h('a', { href: `/_mock/${provider.name}/${file}`, target: '_blank', rel: 'noopener' }, file), ' ']))),
    operations.map((operation) => operationOf(operation, resolve, provider)),
    asyncapi ? Object.entries(asyncapi.channels).map(([name, channel]) => channelOf(name, channel, asyncapi, resolve, provider)) : null,
    sources(provider),
    operations.length ? null : empty('No operations'));
}

function operationOf(operation, resolve, provider) {
  const content = resolve(operation.requestBody)?.content ?? {};
  const parameters = [...operation.shared, ...(operation.parameters ?? [])].map(resolve);
  return h('details.operation', { 'data-text': `${operation.method} ${operation.path} ${operation.operationId} ${operation.summary}`.toLowerCase() },
    h('summary', {}, h(`b.method.${operation.method}`, {}, operation.method.toUpperCase()), h('code', {}, operation.path), h('span', {}, operation.summary ?? operation.operationId)),
    h('div.body', {}, source(provider, operation['x-source']),
      parameters.length ? [h('h3', {}, 'Parameters'), h('ul.schema', {}, parameters.map((one) => member(`${one.name}`, one.schema ?? {}, one.required, resolve, 1, `in ${one.in}`)))] : null,
      Object.entries(content).map(([media, one]) => [h('h3', {}, 'Body ', h('small', {}, media)), tree(one.schema, resolve), examples(one, operation.operationId)]),
      h('h3', {}, 'Answers'),
      Object.entries(operation.responses ?? {}).map(([status, raw]) => {
        const answer = resolve(raw);
        return h('details.answer', {}, h('summary', {}, h(`span.status.s${status[0]}`, {}, status), h('span', {}, answer.description ?? '')), Object.values(answer.content ?? {}).map((one) => [tree(one.schema, resolve), examples(one, `${operation.operationId}, ${status}`)]));
      })));
}

function channelOf(name, channel, asyncapi, resolve, provider) {
  const server = Object.values(asyncapi.servers)[0];
  const url = `${server.protocol}://${server.host}${server.pathname ?? ''}${channel.address}`;
  const query = channel.bindings?.ws?.query;
  return h('details.operation', { 'data-text': `ws ${name} ${channel.address} ${channel.summary}`.toLowerCase() },
    h('summary', {}, h('b.method.ws', {}, 'WS'), h('code', {}, channel.address), h('span', {}, channel.summary ?? name)),
    h('div.body', {}, source(provider, channel['x-source']), h('p', {}, h('code', {}, url), copyButton(url, 'address')),
      query ? [h('h3', {}, 'Query'), tree(query, resolve)] : null,
      h('h3', {}, 'Messages'),
      Object.entries(channel.messages ?? {}).map(([id, raw]) => {
        const message = resolve(raw);
        return h('details.answer', {}, h('summary', {}, h('b', {}, id), h('span', {}, message.summary ?? '')), message['x-on'] ? h('p.soft', {}, `on ${message['x-on'].join(', ')}`) : null, tree(message.payload, resolve));
      })));
}

const source = (provider, from) => (from ? h('p.soft', {}, said(provider, from)) : null);

const examples = (content, of) => Object.entries(content.examples ?? {}).map(([name, one]) => h('details.answer', {}, h('summary', {}, `Example: ${one.summary ?? name}`), code(JSON.stringify(one.value, null, 2), `Example of ${of}: ${name}`)));

function follow(documents, schema) {
  let found = schema;
  for (let turns = 0; found?.$ref && turns < 20; turns += 1) {
    const { $ref, ...beside } = found;
    const [file, pointer = ''] = $ref.split('#');
    let target = documents[file || 'openapi.json'];
    // A reference within asyncapi.json names no file either.
    const walk = (from) => pointer.split('/').slice(1).reduce((at, step) => at?.[step.replaceAll('~1', '/').replaceAll('~0', '~')], from);
    target = walk(target) ?? walk(documents['asyncapi.json'] ?? {});
    found = { ...target, ...beside };
  }
  return found;
}

const tree = (schema, resolve) => h('ul.schema', {}, members(schema ?? {}, resolve, 0));

function members(raw, resolve, depth) {
  const schema = resolve(raw) ?? {};
  if (depth > DEPTH) return [h('li', {}, '…')];
  const rows = [];
  for (const part of schema.allOf ?? []) rows.push(...members(part, resolve, depth + 1));
  for (const [name, one] of Object.entries(schema.properties ?? {})) rows.push(member(name, one, schema.required?.includes(name), resolve, depth + 1));
  if (schema.items) rows.push(member('each item', schema.items, false, resolve, depth + 1));
  if (schema.additionalProperties && typeof schema.additionalProperties === 'object') rows.push(member('each member', schema.additionalProperties, false, resolve, depth + 1));
  (schema.prefixItems ?? []).forEach((one, index) => rows.push(member(`item ${index}`, one, false, resolve, depth + 1)));
  const branches = schema.oneOf ?? schema.anyOf ?? [];
  branches.forEach((one, index) => rows.push(member(one['x-when'] && Array.isArray(one['x-when']) ? `when ${one['x-when'].join(', ')}` : `form ${index + 1}`, one, false, resolve, depth + 1)));
  return rows.length ? rows : depth === 0 ? [h('li', {}, kind(schema))] : [];
}

function member(name, raw, required, resolve, depth, note = '') {
  const schema = resolve(raw) ?? {};
  const inner = members(schema, resolve, depth);
  const line = [h('code', {}, name), required ? h('em', {}, 'required') : null, h('span.kind', {}, kind(schema)), note ? h('span.soft', {}, note) : null, schema['x-value'] ? h('span.value', { title: 'The value of the world it shows or gives' }, [schema['x-value']].flat().join(' or ')) : null, schema.description ? h('p', {}, schema.description) : null];
  return h('li', {}, inner.length && depth > 2 ? h('details', {}, h('summary', {}, line), h('ul', {}, inner)) : [line, inner.length ? h('ul', {}, inner) : null]);
}

function kind(schema) {
  if ('const' in schema) return `= ${JSON.stringify(schema.const)}`;
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  return [[schema.type ?? (schema.properties ? 'object' : '')].flat().join(' or '), schema.format, schema.pattern ? `/${schema.pattern}/` : '', 'minimum' in schema ? `≥ ${schema.minimum}` : '', 'default' in schema ? `default ${JSON.stringify(schema.default)}` : ''].filter(Boolean).join(', ') || 'any';
}
