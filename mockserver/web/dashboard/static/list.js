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
   * @param moves whether an item looks different as time passes; else a row that shows it already is left alone,
   *   unless `stamp` has changed: what the looks of all rows depend on
   */
  constructor({ label, height, make, show, open, moves = () => false }) {
    Object.assign(this, { height, make, show, open, moves, items: [], chosen: null, rows: [], tall: 0, stamp: '', key: (item) => item.key });
    this.sizer = h('div.sizer', { role: 'presentation' });
    this.element = h('div.list', { role: 'listbox', tabIndex: 0, 'aria-label': label, onscroll: () => this.draw(), onkeydown: (event) => this.pressed(event) }, this.sizer);
    this.sizer.addEventListener('click', (event) => {
      const row = event.target.closest('[role=option]');
      if (row) this.choose(row.index);
    });
    // Asked here only: reading the height at each draw would lay the page out twice.
    new ResizeObserver(() => { this.tall = this.element.clientHeight; this.draw(); }).observe(this.element);
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
    const last = Math.min(this.items.length, Math.ceil((this.element.scrollTop + this.tall) / this.height));
    return this.items.slice(first, last);
  }

  draw() {
    const count = Math.min(this.items.length, Math.ceil(this.tall / this.height) + 1 + 2 * SPARE);
    const first = Math.min(Math.max(0, Math.floor(this.element.scrollTop / this.height) - SPARE), this.items.length - count);
    this.before?.();
    while (this.rows.length < count) {
      const row = this.make();
      row.setAttribute('role', 'option');
      this.rows.push(row);
      this.sizer.append(row);
    }
    while (this.rows.length > count) this.rows.pop().remove();
    this.turn(first);
    let active = '';
    for (let index = first; index < first + count; index += 1) {
      const row = this.rows[index - first];
      const item = this.items[index];
      if (row.index !== index || row.length !== this.items.length) {
        Object.assign(row, { index, length: this.items.length, id: `${this.element.id || 'row'}-${index}` });
        row.style.transform = `translateY(${index * this.height}px)`;
        row.setAttribute('aria-posinset', index + 1);
        row.setAttribute('aria-setsize', this.items.length);
      }
      const chosen = this.key(item) === this.chosen;
      if (row.chosen !== chosen) {
        row.chosen = chosen;
        row.setAttribute('aria-selected', chosen);
      }
      if (chosen) active = row.id;
      if (row.item !== item || row.stamp !== this.stamp || this.moves(item)) this.show(row, item, index);
      Object.assign(row, { item, stamp: this.stamp });
    }
    if (active) this.element.setAttribute('aria-activedescendant', active);
    else this.element.removeAttribute('aria-activedescendant');
  }

  /** Take rows from one end to the other where the list has moved by a few, so that the others keep their items. */
  turn(first) {
    const moved = first - (this.rows[0]?.index ?? first);
    if (Math.abs(moved) >= this.rows.length) return;
    for (let turns = 0; turns < moved; turns += 1) {
      this.rows.push(this.rows.shift());
      this.sizer.append(this.rows.at(-1));
    }
    for (let turns = 0; turns > moved; turns -= 1) {
      this.rows.unshift(this.rows.pop());
      this.sizer.prepend(this.rows[0]);
    }
  }

  choose(index) {
    const item = this.items[index];
    if (!item) return;
    this.chosen = this.key(item);
    const top = index * this.height;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + this.height > this.element.scrollTop + this.tall) this.element.scrollTop = top + this.height - this.tall;
    this.draw();
    this.open(item);
  }

  pressed(event) {
    const at = this.items.findIndex((item) => this.key(item) === this.chosen);
    const page = Math.max(1, Math.floor(this.tall / this.height) - 1);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.items.length - 1 };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(Math.min(this.items.length - 1, Math.max(0, steps[event.key])));
  }
}
