/**
 * Makes an element. What is text stays text: nothing is parsed as HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `on…` listens; false and null leave an attribute out
 * @param {...(Node | string | null | undefined)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An icon of the editor's font, for the eye only. @param {string} name */
export function icon(name) {
  return element('i', { class: `fa fa-${name}`, 'aria-hidden': 'true' });
}

/** Replaces a text only where it differs, so that nothing is read aloud twice. @param {Element} of @param {string} text */
export function setText(of, text) {
  if (of.textContent !== text) of.textContent = text;
}
