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
