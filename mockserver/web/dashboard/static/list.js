// A list of any length that keeps some fifty rows in the page: a listbox for keyboard and screen readers.

import { h } from './dom.js';

const SPARE = 6;

export class List {
  /**
   * @param label what it lists
   * @param height of a row, pixels
   * @param make makes an empty row
   * @param show fills a row: (row, item, index)
   * @param open called with the item that was chosen
   */
  constructor({ label, height, make, show, open }) {
    Object.assign(this, { height, make, show, open, items: [], chosen: null, rows: [], key: (item) => item.key });
    this.sizer = h('div.sizer', { role: 'presentation' });
    this.element = h('div.list', { role: 'listbox', tabIndex: 0, 'aria-label': label, onscroll: () => this.draw(), onkeydown: (event) => this.pressed(event) }, this.sizer);
    this.sizer.addEventListener('click', (event) => {
      const row = event.target.closest('[role=option]');
      if (row) this.choose(Number(row.dataset.index));
    });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Show other items; where the reader has scrolled, the same ones stay in view. */
  set(items) {
    const top = Math.floor(this.element.scrollTop / this.height);
    const anchor = top > 0 ? this.items[top] : undefined;
    this.items = items;
    this.sizer.style.height = `${items.length * this.height}px`;
    this.element.hidden = items.length === 0;
    if (anchor !== undefined) {
      const wanted = this.key(anchor);
      const moved = items.findIndex((item) => this.key(item) === wanted);
      if (moved > 0 && moved !== top) this.element.scrollTop += (moved - top) * this.height;
    }
    this.draw();
  }

  visible() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height));
    const last = Math.min(this.items.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height));
    return this.items.slice(first, last);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height) + SPARE);
    this.before?.();
    while (this.rows.length < last - first) {
      const row = this.make();
      row.setAttribute('role', 'option');
      this.rows.push(row);
      this.sizer.append(row);
    }
    while (this.rows.length > last - first) this.rows.pop().remove();
    let active = '';
    this.rows.forEach((row, offset) => {
      const index = first + offset;
      const item = this.items[index];
      row.dataset.index = index;
      row.id = `${this.element.id || 'row'}-${index}`;
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute('aria-posinset', index + 1);
      row.setAttribute('aria-setsize', this.items.length);
      const chosen = this.key(item) === this.chosen;
      row.setAttribute('aria-selected', chosen);
      if (chosen) active = row.id;
      this.show(row, item, index);
    });
    if (active) this.element.setAttribute('aria-activedescendant', active);
    else this.element.removeAttribute('aria-activedescendant');
  }

  choose(index) {
    const item = this.items[index];
    if (!item) return;
    this.chosen = this.key(item);
    const top = index * this.height;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + this.height > this.element.scrollTop + this.element.clientHeight) this.element.scrollTop = top + this.height - this.element.clientHeight;
    this.draw();
    this.open(item);
  }

  pressed(event) {
    const at = this.items.findIndex((item) => this.key(item) === this.chosen);
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.items.length - 1 };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(Math.min(this.items.length - 1, Math.max(0, steps[event.key])));
  }
}
