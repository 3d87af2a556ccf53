// Elements out of data. A text is only ever a text: nothing here parses markup.

const SVG = 'http://www.w3.org/2000/svg';

/** h('button.primary', { type: 'button', onclick: act }, 'Add') */
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  assign(element, attributes);
  element.append(...present(children));
  return element;
}

/** The same for what SVG draws. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  assign(element, attributes);
  element.append(...present(children));
  return element;
}

/** One of the shapes in index.html; what it means must stand beside it. */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

export function button(name, label, act, { kind = 'plain', text } = {}) {
  const attributes = { type: 'button', title: label, 'aria-label': label, onclick: act };
  return h(`button.${kind}`, attributes, name && icon(name), text);
}

/** Only what differs is written: most of what is told is what was told before. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

export function setIcon(element, name) {
  setAttribute(element.firstElementChild, 'href', `#i-${name}`);
}

export function setShare(element, share) {
  const value = share.toFixed(3);
  if (element.style.getPropertyValue('--share') !== value) element.style.setProperty('--share', value);
}

function assign(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
}

function present(children) {
  return children.flat().filter((child) => child != null && child !== false && child !== '');
}
