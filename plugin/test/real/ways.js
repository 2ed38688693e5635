'use strict';

// One flow that reads SECRETS in every way there is: a way is an HTTP endpoint, `/way/<name>`.

const TAB = 'tab';

/** @typedef {{name: string, nodes: object[], answer: unknown, query?: string}} Way */

/**
 * What the kubelet brings.
 * @param {number} [version]
 */
function values(version = 1) {
  return {
    version,
    text: { token: `t0ken-"q7"\\w ${version}z==&+/`, place: `pl4ce-m3k-${version}xv8`, 'a.b': `d0tted-h5j-${version}ub2` },
    json: { login: { user: `us3r-c9f-${version}pw6`, roles: ['reader', `r0le-n4t-${version}sg1`] } },
  };
}

/**
 * The texts that must be nowhere but in a flow.
 * @param {number} [version]
 */
function canaries(version = 1) {
  const { text, json } = values(version);
  return { ...text, user: json.login.user, role: json.login.roles[1] };
}

/**
 * Every way of reading, and what it answers.
 * @param {string} store by its name in `contextStorage`
 * @param {number} [version]
 * @returns {Way[]}
 */
function ways(store, version = 1) {
  const { text, json } = values(version);
  const { token } = text;
  const names = ['a.b', 'login', 'place', 'token'];
  const say = (/** @type {string} */ name, /** @type {string} */ code, /** @type {unknown} */ answer) => func(name, `msg.payload = ${code}; return msg;`, answer);
  return [
    say('get', 'global.get("SECRETS.token")', token),
    say('all', 'global.get("SECRETS")', { ...text, ...json }),
    say('nested', 'global.get("SECRETS.login.roles[1]")', json.login.roles[1]),
    say('dotted', `global.get('SECRETS["a.b"]')`, text['a.b']),
    say('array', 'global.get(["SECRETS.token", "SECRETS.none", "SECRETS.login.user"])', [token, null, json.login.user]),
    say('named-store', `global.get("SECRETS.token", ${JSON.stringify(store)})`, token),
    say('parent', 'flow.get("$parent.SECRETS.token")', token),
    say('metadata', '[global.get("SECRETS_METADATA.version"), global.get("SECRETS_METADATA.keys").map((key) => key.name)]', [version, names]),
    say('none', '[typeof global.get("SECRETS.none"), typeof global.get("SECRETS.constructor"), typeof global.SECRETS.none]', Array(3).fill('undefined')),
    say('property', 'global.SECRETS.token', token),
    say('property-nested', '[global.SECRETS.login.user, global.SECRETS["a.b"], global.SECRETS_METADATA.version]', [json.login.user, text['a.b'], version]),
    say('context-property', '[context.global.SECRETS.token, context.global.get("SECRETS.token")]', [token, token]),
    say('not-copied', '[Object.keys(global).sort(), Object.keys({ ...context.global }).includes("SECRETS"), JSON.stringify(global)]', [['get', 'keys', 'set'], false, '{}']),
    func('callback', 'global.get("SECRETS.token", (error, value) => { msg.payload = value; node.send(msg); });', token),
    func('callback-array', 'global.get(["SECRETS.token", "none", "SECRETS.login"], (error, ...values) => { msg.payload = values; node.send(msg); });', [token, null, json.login]),
    func('keys', 'global.keys((error, keys) => { msg.payload = ["SECRETS", "SECRETS_METADATA"].map((name) => keys.filter((key) => key === name).length); node.send(msg); });', [1, 1]),
    func('later', 'setTimeout(() => { msg.payload = global.SECRETS.token; node.send(msg); }, 1);', token),
    func('copy', `
      const mine = global.get("SECRETS.login"), also = global.SECRETS;
      mine.user = "changed"; mine.roles.push("changed"); also.token = "changed"; also.login.user = "changed"; delete also.place;
      global.SECRETS.login.user = "changed"; global.SECRETS_METADATA.keys.length = 0;
      msg.payload = [mine.user, also.token, global.get("SECRETS"), global.SECRETS_METADATA.keys.length];
      return msg;`, ['changed', 'changed', { ...text, ...json }, 4]),
    // Kept the wrong way round: to keep it as it is would be this flow's own leak.
    {
      name: 'on-start',
      nodes: [{
        id: 'on-start', type: 'function', outputs: 1, initialize: 'node.started = 1; context.set("started", [global.get("SECRETS.token"), global.SECRETS.token].map((value) => [...value].reverse().join("")));',
        func: 'context.get("started", (error, value) => { msg.payload = value.map((one) => [...one].reverse().join("")); node.send(msg); });',
      }],
      answer: [token, token],
    },
    {
      name: 'subflow',
      nodes: [{ id: 'subflow', type: 'subflow:sub' }],
      answer: [token, token, token],
    },
    {
      name: 'change',
      nodes: [change('change', [
        { t: 'set', p: 'payload', pt: 'msg', to: '{}', tot: 'json' },
        { t: 'set', p: 'payload.token', pt: 'msg', to: 'SECRETS.token', tot: 'global' },
        { t: 'set', p: 'payload.dotted', pt: 'msg', to: 'SECRETS["a.b"]', tot: 'global' },
        { t: 'set', p: 'payload.login', pt: 'msg', to: 'SECRETS.login', tot: 'global' },
        { t: 'set', p: 'payload.named', pt: 'msg', to: `#:(${store})::SECRETS.token`, tot: 'global' },
        { t: 'set', p: 'payload.jsonata', pt: 'msg', to: '$globalContext("SECRETS.token") & $globalContext("SECRETS.login").user', tot: 'jsonata' },
        { t: 'set', p: 'payload.quoted', pt: 'msg', to: `$globalContext("SECRETS['a.b']")`, tot: 'jsonata' },
        { t: 'set', p: 'payload.login.mine', pt: 'msg', to: '1', tot: 'num' },
      ])],
      answer: { token, dotted: text['a.b'], login: { ...json.login, mine: 1 }, named: token, jsonata: token + json.login.user, quoted: text['a.b'] },
    },
    {
      name: 'switch',
      query: `?guess=${encodeURIComponent(token)}`,
      nodes: [
        { id: 'switch', type: 'switch', property: 'payload.guess', propertyType: 'msg', rules: [{ t: 'eq', v: 'SECRETS.token', vt: 'global' }, { t: 'else' }], checkall: 'false', outputs: 2, wires: [['switch-right'], ['switch-wrong']] },
        change('switch-right', [{ t: 'set', p: 'payload', pt: 'msg', to: 'right', tot: 'str' }]),
        change('switch-wrong', [{ t: 'set', p: 'payload', pt: 'msg', to: 'wrong', tot: 'str' }]),
      ],
      answer: 'right',
    },
    {
      name: 'inject',
      nodes: [
        { id: 'inject-say', type: 'function', outputs: 1, func: 'flow.get("injected", (error, value) => { msg.payload = value; node.send(msg); });' },
        { id: 'inject', type: 'inject', detached: true, once: true, onceDelay: 0.01, props: [{ p: 'payload', v: 'SECRETS.token', vt: 'global' }], wires: [['inject-keep']] },
        { id: 'inject-keep', type: 'function', detached: true, outputs: 1, func: 'flow.set("injected", msg.payload.length, () => node.log("injected"));', wires: [[]] },
      ],
      answer: token.length,
    },
    {
      name: 'template',
      nodes: [{
        id: 'template', type: 'template', field: 'payload', fieldType: 'msg', syntax: 'mustache', output: 'str',
        template: `{{{global.SECRETS.token}}}|{{{global[${store}].SECRETS.token}}}|{{{global.SECRETS.login.user}}}|{{{global.SECRETS["a.b"]}}}|{{global.SECRETS_METADATA.version}}`,
      }],
      answer: [token, token, json.login.user, text['a.b'], version].join('|'),
    },
    {
      name: 'request',
      nodes: [
        request('request', 'http://{{{req.headers.host}}}/echo/{{{global.SECRETS.place}}}/{{{global.SECRETS.login.roles.1}}}', 'request-say'),
        step('request-say', 'msg.payload = [msg.payload, "global" in msg];'),
      ],
      answer: [`${text.place} ${json.login.roles[1]}`, false],
    },
    {
      name: 'request-fails',
      nodes: [
        step('request-fails', 'msg.requestTimeout = 2000;', 'request-refused'),
        request('request-refused', 'http://127.0.0.1:9/{{{global.SECRETS.place}}}', 'request-none', true),
        step('request-none', 'msg.payload = "this should have failed";'),
        { id: 'request-catch', type: 'catch', detached: true, scope: ['request-refused'], wires: [['request-caught']] },
        step('request-caught', 'msg.payload = [msg.error.source.id, "global" in msg];'),
      ],
      answer: ['request-refused', false],
    },
    {
      name: 'request-own-global',
      nodes: [
        step('request-own-global', 'msg.global = { SECRETS: { place: "m1ne" } };', 'request-own'),
        request('request-own', 'http://{{{req.headers.host}}}/echo/{{{global.SECRETS.place}}}/x', 'request-own-say'),
        step('request-own-say', 'msg.payload = [msg.payload, msg.global];'),
      ],
      answer: ['m1ne x', { SECRETS: { place: 'm1ne' } }],
    },
    {
      name: 'refused-change',
      nodes: [
        change('refused-change', [{ t: 'set', p: 'SECRETS.token', pt: 'global', to: 'planted', tot: 'str' }, { t: 'delete', p: 'SECRETS', pt: 'global' }]),
        { id: 'refused-catch', type: 'catch', detached: true, scope: ['refused-change'], wires: [['refused-caught']] },
        step('refused-caught', 'msg.payload = [msg.error.message, global.get("SECRETS.token")];'),
      ],
      answer: ['Error: SECRETS and SECRETS_METADATA are read-only', token],
    },
    func('refused', `
      global.set("SECRETS", "planted"); global.set("SECRETS.token", "planted"); global.set("SECRETS", undefined);
      global.SECRETS = "planted"; global.SECRETS_METADATA = "planted"; context.global.SECRETS = "planted"; global.set("SECRETS_METADATA.version", 99);
      global.set(["beside", "SECRETS.token"], ["written", "planted"], (error) => global.get("beside", (_, beside) => {
        msg.payload = [error.message, global.get("SECRETS.token"), global.SECRETS_METADATA.version, beside];
        node.send(msg);
      }));`, ['SECRETS and SECRETS_METADATA are read-only', token, version, 'written']),
  ];
}

/**
 * The flows that answer.
 * @param {string} store
 */
function flows(store) {
  const all = ways(store);
  const wired = all.flatMap(({ name, nodes }) => {
    const [first] = /** @type {any[]} */ (nodes);
    return [
      { id: `in-${name}`, type: 'http in', url: `/way/${name}`, method: 'get', wires: [[first.id]] },
      ...nodes.map((/** @type {any} */ node) => ({ wires: [node.detached ? [] : ['out']], ...node })),
    ];
  });
  const sub = 'msg.payload = [global.get("SECRETS.token"), global.SECRETS.token, msg.payload]; return msg;';
  return [
    { id: TAB, type: 'tab', label: 'ways' },
    { id: 'sub', type: 'subflow', name: 'sub', in: [{ x: 1, y: 1, wires: [{ id: 'sub-change' }] }], out: [{ x: 1, y: 1, wires: [{ id: 'sub-say', port: 0 }] }] },
    { ...change('sub-change', [{ t: 'set', p: 'payload', pt: 'msg', to: 'SECRETS.token', tot: 'global' }]), z: 'sub', wires: [['sub-say']] },
    { id: 'sub-say', type: 'function', z: 'sub', outputs: 1, func: sub, x: 1, y: 1, wires: [[]] },
    ...[
      ...wired,
      { id: 'out', type: 'http response', statusCode: '200', wires: [] },
      { id: 'in-echo', type: 'http in', url: '/echo/:one/:two', method: 'get', wires: [['echo']] },
      { id: 'echo', type: 'function', outputs: 1, func: 'msg.payload = `${msg.req.params.one} ${msg.req.params.two}`; return msg;', wires: [['out']] },
      { id: 'in-hello', type: 'http in', url: '/context/hello', method: 'get', wires: [['hello']] },
      { id: 'hello', type: 'function', outputs: 1, func: 'msg.payload = global.get("SECRETS.token"); return msg;', wires: [['out']] },
      { id: 'on-stop', type: 'function', outputs: 1, func: 'return msg;', finalize: 'node.log(`stopped with ${global.SECRETS.token.length} characters`);', wires: [[]] },
    ].map((node) => ({ z: TAB, x: 1, y: 1, ...node })),
  ];
}

/**
 * @param {string} name
 * @param {string} code
 * @param {unknown} answer
 * @returns {Way}
 */
function func(name, code, answer) {
  return { name, nodes: [{ id: name, type: 'function', outputs: 1, func: code }], answer };
}

/**
 * A Function node that changes the message and hands it on.
 * @param {string} id
 * @param {string} code
 * @param {string} [next]
 */
function step(id, code, next = 'out') {
  return { id, type: 'function', outputs: 1, func: `${code} return msg;`, wires: [[next]] };
}

/**
 * @param {string} id
 * @param {object[]} rules
 */
function change(id, rules) {
  return { id, type: 'change', rules };
}

/**
 * @param {string} id
 * @param {string} url
 * @param {string} next
 */
function request(id, url, next, senderr = false) {
  return { id, type: 'http request', method: 'GET', ret: 'txt', url, senderr, headers: [], wires: [[next]] };
}

module.exports = { TAB, values, canaries, ways, flows };
