// Offers the keys where somebody types `global.SECRETS.` or `SECRETS["` in the code editor.

import { reference } from './references.js';

const LANGUAGES = ['javascript', 'jsonata', 'handlebars', 'html'];

/**
 * Where in a line a key is being typed.
 * @param {string} before the line up to the cursor
 * @returns {{start: number, quote: '"' | "'" | null} | null} `start`: of what is replaced, the dot or the bracket included; `quote`: the
 *   one that the key is in
 */
export function keyBegun(before) {
  const dotted = /(?<![\w$])SECRETS(\.[\w$-]*)$/.exec(before);
  if (dotted !== null) return { start: before.length - dotted[1].length, quote: null };
  const quoted = /(?<![\w$])SECRETS(\[(["'])[-.\w$]*)$/.exec(before);
  return quoted === null ? null : { start: before.length - quoted[1].length, quote: /** @type {'"' | "'"} */ (quoted[2]) };
}

/**
 * What is put in place of the dot or the bracket.
 * @param {string} name
 * @param {string} before
 * @param {{start: number, quote: '"' | "'" | null}} begun
 */
export function completed(name, before, { start, quote }) {
  if (quote !== null) return `[${quote}${name}${quote}]`;
  // In a string Node-RED parses the name, in code JavaScript does.
  const outer = /["'`](?:#:\([^)]*\)::)?SECRETS$/.exec(before.slice(0, start))?.[0][0] ?? null;
  if (outer === null && /global\.SECRETS$/.test(before.slice(0, start)) && !before.includes('{{')) return reference(name, 'function').slice('global.SECRETS'.length);
  const property = reference(name, 'typed').slice('SECRETS'.length);
  return outer === '"' ? property.replaceAll('"', "'") : property;
}

/**
 * @param {any} monaco undefined where the editor has another code editor
 * @param {import('./store.js').Store} store
 * @param {import('./text.js').Text} text
 */
export function offerKeys(monaco, store, text) {
  if (monaco?.languages === undefined) return;
  const provider = {
    triggerCharacters: ['.', '"', "'"],
    provideCompletionItems: (/** @type {any} */ model, /** @type {any} */ position) => {
      const line = model.getLineContent(position.lineNumber);
      const before = line.slice(0, position.column - 1);
      const begun = keyBegun(before);
      if (begun === null) return { suggestions: [] };
      // What the editor has closed by itself goes too.
      const closed = begun.quote === null ? 0 : /^["']?\]?/.exec(line.slice(before.length))?.[0].length ?? 0;
      const range = {
        startLineNumber: position.lineNumber, endLineNumber: position.lineNumber,
        startColumn: begun.start + 1, endColumn: position.column + closed,
      };
      return {
        suggestions: (store.facts.keys?.keys ?? []).map(({ name, format }) => {
          const insertText = completed(name, before, begun);
          return {
            label: name, kind: monaco.languages.CompletionItemKind.Property, insertText, range,
            filterText: `${before.slice(begun.start).match(/^(?:\.|\[["'])/)?.[0] ?? ''}${name}`,
            detail: text.say('sidebar.completion', { format: text.say(`sidebar.secrets.format.${format === 'json' ? 'json' : 'text'}`) }),
          };
        }),
      };
    },
  };
  for (const language of LANGUAGES) monaco.languages.registerCompletionItemProvider(language, provider);
}
