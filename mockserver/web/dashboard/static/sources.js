// Where a fact is known from: the keys of a provider's SOURCES.md, each with what it stands for.

import { h } from './dom.js';

/** Write an `x-source`, its keys with what they stand for. */
export function said(provider, source) {
  return Object.entries(source ?? {}).map(([kind, text], index) => [index ? '; ' : '', `${kind}: `,
    text.split(/\b([A-Z]\w{0,3})\b/).map((part, at) => (at % 2 && provider.sources[part] ? h('abbr', { title: provider.sources[part] }, part) : part))]);
}

/** List all sources of a provider. */
export const sources = (provider) => (Object.keys(provider.sources).length
  ? h('details.sources', {}, h('summary', {}, 'Where it is known from'), h('dl', {}, Object.entries(provider.sources).map(([key, text]) => [h('dt', {}, key), h('dd', {}, text)])))
  : null);
