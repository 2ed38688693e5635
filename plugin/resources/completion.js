// Offers the keys where somebody types `global.SECRETS.` or `SECRETS["` in the code editor.

import { reference } from './references.js';

const TRIGGERS = ['.', '"', "'"];

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
    triggerCharacters: TRIGGERS,
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
  // Each by its name: what offers for any language is not asked where one that knows the language has something. And all of them,
  // for a template is one of JSON, SQL, CSS or whatever it is to become. Node-RED may add its own language only later.
  const languages = new Set(monaco.languages.getLanguages().map((/** @type {any} */ { id }) => id)).add('jsonata');
  monaco.languages.registerCompletionItemProvider([...languages], provider);
  monaco.editor.onDidCreateEditor?.(suggestInJsonata);
}

/**
 * In JSONata Node-RED has the editor offer nothing by itself, and least of all in a string, which is where a key stands.
 * @param {any} editor
 */
function suggestInJsonata(editor) {
  editor.onDidChangeModelContent?.((/** @type {any} */ { changes }) => {
    const model = editor.getModel();
    const [{ text, range }] = changes;
    if (model?.getLanguageId() !== 'jsonata' || !TRIGGERS.includes(text[0])) return;
    const before = model.getLineContent(range.startLineNumber).slice(0, range.startColumn);
    // The cursor follows the text.
    if (keyBegun(before) !== null) setTimeout(() => editor.trigger('secret-manager', 'editor.action.triggerSuggest', {}));
  });
}
