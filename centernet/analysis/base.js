"use strict";
// Shared by the scripts of all pages.

const $ = (id) => document.getElementById(id);
const number = (value) => value.toFixed(2);
const plural = (count, noun, more = noun + "s") => `${count} ${count === 1 ? noun : more}`;

// A new element with properties and children.
function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Save a file.
function download(name, content, type = "") {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// Move the picture of an element with one pointer, and zoom with two, by the page's panBy and
// zoomBy. Each of the pressed pointers has its last event.
function dragPointers(event, pointers, element) {
  const span = () => {
    const [a, b] = [...pointers.values()];
    return b && Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  const before = pointers.get(event.pointerId), wide = span();
  pointers.set(event.pointerId, event);
  panBy((event.clientX - before.clientX) / pointers.size,
    (event.clientY - before.clientY) / pointers.size);
  if (!wide) return;
  const frame = element.getBoundingClientRect();
  const [a, b] = [...pointers.values()];
  zoomBy(span() / wide, (a.clientX + b.clientX) / 2 - frame.left,
    (a.clientY + b.clientY) / 2 - frame.top);
}
