// A second verifier, written from docs/reference/protocol.md alone, in another language and with another library (node:crypto).
// It shares nothing with src/: where the two disagree, the page or one of them is wrong. No packages.
//
//   node verify.mjs [--keys KEYS.json] [--node ID] FILE…        prints {"verdict", "reasons"} and exits 0, 1 or 2
//   node verify.mjs --vectors tests/vectors/index.json          prints the verdict of every vector, by name
//
// The numbers after § are the sections of the page.
import { createHash, createPublicKey, verify as checkSignature } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const HEX = /^[0-9a-f]{64}$/;

class False extends Error {}
class Missing extends Error {}
const fail = (why) => { throw new False(why); };

// --- §1: JSON in which no member stands twice; numbers keep how they were written -----------------------------------------

class Num {
  constructor(text) { this.text = text; }
}

function utf8(bytes) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try { return text.decode(bytes); } catch { return fail('not UTF-8'); }
}

function parseJson(bytes) {
  const text = utf8(bytes);
  let at = 0;
  const blank = () => { while (at < text.length && ' \t\n\r'.includes(text[at])) at += 1; };
  const word = (w, value) => (text.startsWith(w, at) ? ((at += w.length), value) : fail(`not JSON at ${at}`));
  function string() {
    const from = at;
    at += 1;
    while (at < text.length && text[at] !== '"') {
      if (text.charCodeAt(at) < 32) fail('control character in JSON');
      at += text[at] === '\\' ? 2 : 1;
    }
    if (at >= text.length) fail('JSON ends early');
    at += 1;
    try { return JSON.parse(text.slice(from, at)); } catch { return fail('not a JSON string'); }
  }
  function value(depth) {
    if (depth > 100) fail('JSON too deep');
    blank();
    const c = text[at];
    if (c === '{') {
      const found = new Map();
      at += 1;
      blank();
      if (text[at] === '}') { at += 1; return found; }
      for (;;) {
        blank();
        if (text[at] !== '"') fail('not JSON: no member');
        const name = string();
        if (found.has(name)) fail(`member ${name} twice`);
        blank();
        word(':');
        found.set(name, value(depth + 1));
        blank();
        if (text[at] === ',') { at += 1; continue; }
        word('}');
        return found;
      }
    }
    if (c === '[') {
      const found = [];
      at += 1;
      blank();
      if (text[at] === ']') { at += 1; return found; }
      for (;;) {
        found.push(value(depth + 1));
        blank();
        if (text[at] === ',') { at += 1; continue; }
        word(']');
        return found;
      }
    }
    if (c === '"') return string();
    if (c === 't') return word('true', true);
    if (c === 'f') return word('false', false);
    if (c === 'n') return word('null', null);
    const number = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    number.lastIndex = at;
    const found = number.exec(text);
    if (!found) fail(`not JSON at ${at}`);
    at = number.lastIndex;
    return new Num(found[0]);
  }
  const found = value(1);
  blank();
  if (at !== text.length) fail('something behind the JSON');
  return found;
}

// --- shapes: what the page shows ------------------------------------------------------------------------------------------

const isMap = (v) => v instanceof Map;
const text = (v) => typeof v === 'string';
const filled = (v) => text(v) && v !== '';
const oneOf = (...words) => (v) => words.includes(v);
const digest = (v) => text(v) && HEX.test(v);
const digestOrEmpty = (v) => v === '' || digest(v);
const thumb = (v) => text(v) && /^[A-Za-z0-9_-]{43}$/.test(v);
const uuid = (v) => text(v) && /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(v);
const whole = (least) => (v) => v instanceof Num && /^(0|[1-9][0-9]{0,15})$/.test(v.text) && Number(v.text) >= least && Number(v.text) < 2 ** 53;
const orNull = (test) => (v) => v === null || test(v);
const list = (test) => (v) => Array.isArray(v) && v.every(test);
const members = (shape) => (v) => isMap(v) && Object.entries(shape).every(([name, test]) => v.has(name) && test(v.get(name)));
const moment = (v) => {
  if (!text(v) || !/^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/.test(v)) return false;
  const time = Date.parse(v);
  return !Number.isNaN(time) && new Date(time).toISOString() === v.replace('Z', '.000Z');
};
const num = (v) => Number(v.text);

const keyRow = { owner: filled, jwk: isMap, valid_from: moment, valid_until: orNull(moment) };
const SHAPES = {
  dispatch: {
    id: uuid, kind: oneOf('report', 'nil_report', 'notice', 'withdrawal', 'directory', 'regulation', 'account'), sender: filled,
    signer: members({ title: text }), register: members({ year: whole(0), number: whole(0), notation: text }),
    recipients: list(members({ organisation: filled, role: oneOf('to', 'copy'), sequence: whole(1), previous: digestOrEmpty })),
    urgency: oneOf('ordinary', 'urgent', 'very_urgent', 'immediate'), subject: filled, sent_at: moment, event_at: orNull(moment),
    answers: list(text), replaces: orNull(uuid), withdraws: orNull(uuid), reason: text, body: isMap,
    attachments: list(members({ name: filled, digest, size: whole(0), media_type: text })),
  },
  receipt: {
    dispatch: uuid, digest, organisation: filled, code: oneOf('arrived', 'acknowledged', 'returned', 'in_work', 'done'), at: moment, reason: text,
  },
  key: {
    owner: text, node: uuid, action: oneOf('add', 'revoke'), kid: thumb, jwk: orNull(isMap), valid_from: orNull(moment),
    valid_until: orNull(moment), replaces: (v) => v === '' || thumb(v), reason: text, at: moment,
  },
  invitation: {
    node: members({ id: uuid, name: text, jwk: isMap }), speaker: text, organisations: list(members({ key: filled })),
    keys: list(members(keyRow)), made_at: moment, expires_at: moment,
  },
  checkpoint: { node: uuid, seal: whole(1), digest, entries: whole(0), at: moment },
  witness: { node: uuid, checkpoint: digest, of: uuid, seal: whole(1), at: moment },
  hop: { node: uuid, digest, at: moment },
  request: { method: filled, path: filled, body: digest, from: uuid, to: uuid, at: moment },
  bundle: {
    id: uuid, from: uuid, to: uuid, incarnation: text, made_at: moment, first: whole(0), last: whole(0), items: whole(0),
    held_through: whole(0), payload: isMap, wanted: list(digest), part: whole(1), parts: whole(1),
    missing: list(members({ sender: filled, recipient: filled, sequences: list(whole(1)) })),
  },
  regulation: { key: filled, version: whole(1), digest, parties: list(filled) },
  account: {
    month: (v) => text(v) && /^[1-9][0-9]{3}-(0[1-9]|1[0-2])$/.test(v), a: filled, b: filled, made_by: filled, at: moment,
    sent: list(members({
      from: filled, to: filled, first: whole(0), last: whole(0), missing: list(whole(1)),
      dispatches: list(members({ sequence: whole(1), digest, arrived: orNull(moment), verdict: oneOf('acknowledged', 'returned', '') })),
    })),
  },
};
const SEVERAL = ['regulation', 'account'];
const MOMENT_OF = { dispatch: 'sent_at', bundle: 'made_at', invitation: 'made_at' };

// What a payload may still have wrong in itself (§2, §3, §4, §6).
function further(kind, p) {
  if (kind === 'dispatch') {
    const to = p.get('recipients');
    const names = to.map((r) => r.get('organisation'));
    if (new Set(names).size !== names.length || names.includes(p.get('sender'))) fail('recipients');
    if (!to.some((r) => r.get('role') === 'to')) fail('no recipient');
    if (p.get('kind') === 'withdrawal' && !(p.get('withdraws') && p.get('reason').trim())) fail('withdrawal without reason');
  }
  if (kind === 'receipt' && p.get('code') === 'returned' && !p.get('reason').trim()) fail('returned without reason');
  if (kind === 'key' && p.get('action') === 'add' && !(p.get('jwk') && p.get('valid_from'))) fail('no key to add');
  if (kind === 'regulation') {
    const sorted = [...new Set(p.get('parties'))].sort();
    if (sorted.join('\n') !== p.get('parties').join('\n')) fail('parties not sorted');
  }
  if (kind === 'account') {
    for (const row of p.get('sent')) {
      const pair = [row.get('from'), row.get('to')];
      if (p.get('a') === p.get('b') || !pair.includes(p.get('a')) || !pair.includes(p.get('b'))) fail('parties of the account');
      const numbers = [...row.get('dispatches').map((d) => num(d.get('sequence'))), ...row.get('missing').map(num)];
      if (new Set(numbers).size !== numbers.length) fail('number twice in the account');
      if (numbers.some((n) => n < num(row.get('first')) || n > num(row.get('last')))) fail('number outside the account');
    }
  }
}

// --- §1, §6: signed documents ---------------------------------------------------------------------------------------------

function unb64(part) {
  if (!/^[A-Za-z0-9_-]*$/.test(part)) fail('base64url');
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) fail('base64url not canonical');
  return bytes;
}

function header(part) {
  const found = parseJson(unb64(part));
  if (!isMap(found)) fail('header');
  if (found.get('alg') !== 'Ed25519') fail('alg');
  if (found.size !== 3 || !text(found.get('kid')) || !text(found.get('typ'))) fail('header members');
  const kind = /^hiepdong\.([a-z_]+)\+json$/.exec(found.get('typ'))?.[1];
  if (!kind) fail('typ');
  if (!Object.hasOwn(SHAPES, kind)) throw new Missing('a newer type');
  return { kid: found.get('kid'), kind };
}

function payload(bytes, kind) {
  const p = parseJson(bytes);
  if (!isMap(p)) fail('payload is no object');
  const version = /^hiepdong\.([a-z]+)\/([1-9][0-9]*)$/.exec(p.get('format') ?? '');
  if (version?.[1] !== kind) fail('typ and format');
  if (version[2] !== '1') throw new Missing('a newer format');
  if (!members(SHAPES[kind])(p)) fail('a member is missing or wrong');
  further(kind, p);
  return p;
}

const make = (where, kind, p, digestOf, signatures) => ({
  where, kind, p, digest: digestOf, signatures, kid: signatures[0].kid, moment: p.get(MOMENT_OF[kind] ?? 'at') ?? '', good: false,
});

function compact(bytes, where) {
  if (bytes.length > 4 * 1024 * 1024) fail('too large');
  const all = bytes.toString('latin1');
  const parts = all.split('.');
  if (parts.length !== 3 || !/^[\x21-\x7e]+$/.test(all)) fail('no compact JWS');
  const { kid, kind } = header(parts[0]);
  if (SEVERAL.includes(kind)) fail('this type is not compact');
  const signature = unb64(parts[2]);
  const p = payload(unb64(parts[1]), kind);
  return make(where, kind, p, sha256(bytes), [{ kid, signature, message: Buffer.from(`${parts[0]}.${parts[1]}`) }]);
}

function several(value, where) {
  const exactly = (v, ...names) => isMap(v) && v.size === names.length && names.every((n) => v.has(n));
  if (!exactly(value, 'payload', 'signatures') || !text(value.get('payload')) || !Array.isArray(value.get('signatures'))) fail('members');
  const signatures = value.get('signatures').map((s) => {
    if (!exactly(s, 'protected', 'signature') || !text(s.get('protected')) || !text(s.get('signature'))) fail('members of a signature');
    const { kid, kind } = header(s.get('protected'));
    return { kid, kind, signature: unb64(s.get('signature')), message: Buffer.from(`${s.get('protected')}.${value.get('payload')}`) };
  });
  if (!signatures.length || new Set(signatures.map((s) => s.kid)).size !== signatures.length) fail('a key signs twice');
  if (signatures.some((s) => s.kind !== signatures[0].kind) || !SEVERAL.includes(signatures[0].kind)) fail('types');
  const raw = unb64(value.get('payload'));
  return make(where, signatures[0].kind, payload(raw, signatures[0].kind), sha256(raw), signatures);
}

// --- keys -----------------------------------------------------------------------------------------------------------------

const PRIME = 2n ** 255n - 19n;
const LITTLE = (hex) => BigInt(`0x${Buffer.from(hex, 'hex').reverse().toString('hex')}`);
const SMALL = [0n, 1n, PRIME - 1n,
  LITTLE('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  LITTLE('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')];

function readJwk(jwk) {
  if (jwk.get('kty') !== 'OKP' || jwk.get('crv') !== 'Ed25519' || !text(jwk.get('x')) || jwk.has('d')) fail('jwk');
  const bytes = unb64(jwk.get('x'));
  const y = bytes.length === 32 ? BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`) & (2n ** 255n - 1n) : PRIME;
  if (y >= PRIME || SMALL.includes(y)) fail('a key that proves nothing');
  const json = { crv: 'Ed25519', kty: 'OKP', x: jwk.get('x') };
  return { kid: createHash('sha256').update(JSON.stringify(json)).digest('base64url'), public: createPublicKey({ key: json, format: 'jwk' }) };
}

const fits = (key, s) => s.signature.length === 64 && checkSignature(null, s.message, key.public, s.signature);

class Ring {
  constructor(trusted) {
    this.keys = new Map([...(trusted?.keys ?? [])].map(([kid, key]) => [kid, { ...key }]));
    this.speakers = new Map(trusted?.speakers ?? []);
    this.given = trusted?.given ?? false;
  }

  put(key) {
    const known = this.keys.get(key.kid);
    if (!known) this.keys.set(key.kid, key);
    else if (known.owner !== key.owner || known.node !== key.node) fail('a key of two owners');
  }

  row(row, node) {
    this.put({
      ...readJwk(row.get('jwk')), owner: row.get('owner'), node, from: row.get('valid_from'), until: row.get('valid_until'),
      revoked: row.get('revoked_at') ?? null,
    });
  }

  keysJson(bytes) {
    const value = parseJson(bytes);
    const row = members({ owner: text, node: uuid, jwk: isMap, valid_from: moment, valid_until: orNull(moment), revoked_at: orNull(moment) });
    const node = members({ id: uuid, name: text, speaker: text });
    if (!members({ format: oneOf('hiepdong.keys/1'), nodes: list(node), keys: list(row) })(value)) fail('keys.json');
    for (const n of value.get('nodes')) if (n.get('speaker')) this.speakers.set(n.get('id'), n.get('speaker'));
    for (const r of value.get('keys')) this.row(r, r.get('node'));
    return this;
  }
}

// --- a set of documents (§12) ---------------------------------------------------------------------------------------------

class Checking {
  constructor(trusted) {
    this.ring = new Ring(trusted);
    this.documents = [];
    this.files = new Map(); // digest: size
    this.learnedBy = new Map(); // kid: the statement without which the key would not be known
    this.seals = new Map();
    this.stamps = new Map();
    this.entries = new Map();
    this.reasons = [];
    this.wholeFolder = false;
    this.claims = null;
    this.loose = new Set(); // digests of single files that were given beside documents
  }

  no(level, d, why) { this.reasons.push({ level, where: d?.where ?? d ?? '', why }); }

  try(d, work) {
    try { return work(); } catch (e) {
      if (e instanceof False) this.no('false', d, e.message);
      else if (e instanceof Missing) this.no('missing', d, e.message);
      else throw e;
      return undefined;
    }
  }

  absent(d, why) { if (this.wholeFolder) this.no('missing', d, why); }

  good(kind) { return this.documents.filter((d) => d.kind === kind && d.good); }

  run() {
    const seen = new Set();
    this.documents = this.documents.filter((d) => {
      const same = `${d.digest} ${SEVERAL.includes(d.kind) ? d.signatures.map((s) => s.kid) : ''}`;
      return !seen.has(same) && seen.add(same);
    });
    this.byDigest = new Map(this.documents.map((d) => [d.digest, d]));
    this.learn();
    for (const d of this.documents) {
      if (SEVERAL.includes(d.kind)) this.parties(d);
      else if (!['key', 'invitation'].includes(d.kind)) this.signature(d);
    }
    this.journal();
    this.revoked();
    this.dispatches();
    this.receipts();
    for (const h of this.good('hop')) {
      if (h.carriedBy && h.carriedBy !== h.p.get('digest')) this.no('false', h, 'hop of other bytes');
      else if (!this.byDigest.has(h.p.get('digest'))) this.absent(h, 'what was carried is not here');
    }
    this.accounts();
    this.attachments();
    return this;
  }

  // keys: invitations, statements, directories, as often as something new comes of it

  learn() {
    for (const d of this.documents.filter((x) => x.kind === 'invitation')) {
      this.try(d, () => {
        const node = d.p.get('node');
        const key = readJwk(node.get('jwk'));
        if (key.kid !== d.kid) fail('the invitation is not signed by its own key');
        if (!fits(key, d.signatures[0])) fail('signature');
        if (this.ring.given && !this.ring.keys.has(key.kid)) return;
        this.ring.put({ ...key, owner: '', node: node.get('id'), from: null, until: null, revoked: null });
        if (!this.ring.speakers.has(node.get('id'))) this.ring.speakers.set(node.get('id'), d.p.get('speaker'));
        for (const r of d.p.get('keys')) this.try(d, () => this.vouched(d, r, node.get('id')));
        d.good = true;
      });
    }
    const isDirectory = (d) => d.kind === 'dispatch' && d.p.get('kind') === 'directory';
    let waiting = this.documents.filter((d) => d.kind === 'key' || isDirectory(d));
    waiting.sort((a, b) => (a.moment < b.moment || (a.moment === b.moment && a.digest < b.digest) ? -1 : 1));
    for (let moved = true; moved;) {
      moved = false;
      for (const d of [...waiting]) {
        const signer = this.ring.keys.get(d.kid);
        if (!signer) continue;
        waiting = waiting.filter((w) => w !== d);
        moved = true;
        if (d.kind === 'key') this.try(d, () => this.statement(d, signer));
        else this.try(d, () => this.directory(d, signer));
      }
    }
    for (const d of waiting) if (d.kind === 'key') this.no('missing', d, 'the key of the signer is not here');
  }

  inTime(d, key) {
    if (!d.moment) return;
    const carries = d.kind === 'bundle' || d.kind === 'request';
    if (key.until && d.moment > key.until && !carries) fail('the key had expired');
    if (key.from && d.moment < key.from) fail('the key was not valid yet');
  }

  statement(d, signer) {
    const { p } = d;
    if (!fits(signer, d.signatures[0])) fail('signature');
    const own = signer.owner === p.get('owner');
    if (signer.node !== p.get('node') || !(own || signer.owner === '')) fail('may not speak of this key');
    this.inTime(d, signer);
    this.atHome(p.get('owner'), p.get('node'));
    const known = this.ring.keys.get(p.get('kid'));
    if (known && (known.owner !== p.get('owner') || known.node !== p.get('node'))) fail('a key of two owners');
    if (p.get('action') === 'revoke') {
      if (signer.revoked && signer.revoked < p.get('at')) fail('signed by a revoked key');
      if (known && (!known.revoked || p.get('at') < known.revoked)) known.revoked = p.get('at');
      d.good = true;
      return;
    }
    const key = readJwk(p.get('jwk'));
    if (key.kid !== p.get('kid')) fail('kid and jwk');
    const itself = p.get('owner') === '' && key.kid === signer.kid;
    if (own && p.get('replaces') !== signer.kid && !itself) fail('no continuity');
    if (!own && !known) throw new Missing('a recovery: compare the fingerprint');
    d.revokedAt = signer.revoked;
    if (!known) this.learnedBy.set(key.kid, d);
    this.ring.put({ ...key, owner: p.get('owner'), node: p.get('node'), from: p.get('valid_from'), until: p.get('valid_until'), revoked: null });
    const old = this.ring.keys.get(p.get('replaces'));
    if (old && old.owner === p.get('owner') && (!old.until || p.get('valid_from') < old.until)) old.until = p.get('valid_from');
    d.good = true;
  }

  directory(d, signer) {
    if (signer.owner !== d.p.get('sender') || this.ring.speakers.get(signer.node) !== signer.owner) return;
    if (signer.revoked || !fits(signer, d.signatures[0])) return;
    const told = d.p.get('body').get('directory');
    const rows = isMap(told) ? told.get('keys') : [];
    if (!list(members(keyRow))(rows)) return;
    for (const r of rows) this.try(d, () => this.vouched(d, r, signer.node));
  }

  atHome(owner, node) {
    if (owner && [...this.ring.keys.values()].some((k) => k.owner === owner && k.node !== node)) fail('an organisation of another node');
  }

  vouched(d, row, node) {
    const { kid } = readJwk(row.get('jwk'));
    this.atHome(row.get('owner'), node);
    const first = ![...this.ring.keys.values()].some((k) => k.owner === row.get('owner'));
    if (this.ring.given && !first && !this.ring.keys.has(kid)) throw new Missing('a recovery: compare the fingerprint');
    this.ring.row(row, node);
  }

  // signatures

  signature(d) {
    this.try(d, () => {
      const key = this.ring.keys.get(d.kid);
      if (!key) throw new Missing('the key is not here');
      if (!fits(key, d.signatures[0])) fail('signature');
      const node = { bundle: 'from', request: 'from' }[d.kind] ?? 'node';
      const owner = { dispatch: 'sender', receipt: 'organisation' }[d.kind];
      if (owner ? key.owner !== d.p.get(owner) : key.owner !== '' || key.node !== d.p.get(node)) fail('signed by another');
      this.inTime(d, key);
      d.revokedAt = key.revoked;
      d.good = true;
    });
  }

  parties(d) {
    const parties = d.kind === 'regulation' ? d.p.get('parties') : [d.p.get('a'), d.p.get('b')];
    const signed = new Set();
    d.good = true;
    for (const s of d.signatures) {
      const owner = this.try(d, () => {
        const key = this.ring.keys.get(s.kid);
        if (!key) throw new Missing('the key is not here');
        if (!fits(key, s)) fail('signature');
        if (!parties.includes(key.owner)) fail('signed by no party');
        this.inTime(d, key);
        if (key.revoked) fail('signed by a revoked key');
        return key.owner;
      });
      if (owner === undefined) d.good = false;
      else signed.add(owner);
    }
    if (d.kind === 'regulation') {
      for (const party of parties) if (!signed.has(party)) this.no('missing', d, `${party} has not signed`);
      if (!this.files.has(d.p.get('digest'))) this.absent(d, 'the file of the regulation');
    }
  }

  journal() {
    this.stamped();
    const seals = new Map();
    this.covered = new Map();
    for (const c of this.good('checkpoint')) {
      const same = `${c.p.get('node')} ${c.p.get('seal').text}`;
      const said = `${c.p.get('digest')} ${c.p.get('entries').text}`;
      if (seals.has(same) && seals.get(same) !== said) this.no('false', c, 'two journals for one seal');
      seals.set(same, said);
      for (const o of this.good('checkpoint')) {
        if (o.p.get('node') === c.p.get('node') && num(o.p.get('seal')) < num(c.p.get('seal')) && num(o.p.get('entries')) > num(c.p.get('entries'))) {
          this.no('false', c, 'a journal that shrinks');
        }
      }
    }
    for (const w of this.good('witness')) {
      const c = this.byDigest.get(w.p.get('checkpoint'));
      if (w.p.get('node') === w.p.get('of')) this.no('false', w, 'a witness of itself');
      else if (c?.kind !== 'checkpoint') this.absent(w, 'the checkpoint is not here');
      else if (c.p.get('node') !== w.p.get('of') || num(c.p.get('seal')) !== num(w.p.get('seal'))) this.no('false', w, 'witness of another seal');
      else if (c.good && !w.revokedAt) this.cover(c, w.moment);
    }
  }

  stamped() { // who signed a time-stamp is for openssl to say
    for (const [digest, { name, imprint }] of this.stamps) {
      if (!this.seals.has(digest)) this.absent(name, 'the seal of the time-stamp is not here');
      else if (imprint !== sha256(Buffer.from(digest, 'ascii'))) this.no('false', name, 'a time-stamp of something else');
    }
  }

  cover(c, at) {
    let [of, n] = [c.p.get('digest'), num(c.p.get('seal'))];
    while (of && this.seals.has(of)) {
      const seal = this.seals.get(of);
      if (seal.n !== n) { this.no('false', c, 'the seal has another number'); return; }
      for (const entry of seal.entries) {
        for (const named of this.entries.get(entry) ?? []) {
          if (!this.covered.has(named) || at < this.covered.get(named)) this.covered.set(named, at);
        }
      }
      [of, n] = [seal.before, n - 1];
    }
  }

  revoked() {
    for (const d of this.documents.filter((x) => x.good && x.revokedAt)) {
      const owner = this.ring.keys.get(d.kid);
      const other = (x) => { const k = this.ring.keys.get(x.kid); return k.owner !== owner.owner || k.node !== owner.node; };
      const seen = [
        ...this.good('receipt').filter((r) => r.p.get('digest') === d.digest && !r.revokedAt && other(r)).map((r) => r.moment),
        ...this.good('hop').filter((h) => h.p.get('digest') === d.digest && !h.revokedAt && h.kid !== d.kid).map((h) => h.moment),
        ...this.good('witness').filter((w) => w.p.get('checkpoint') === d.digest && !w.revokedAt).map((w) => w.moment),
      ];
      if (this.covered.has(d.digest)) seen.push(this.covered.get(d.digest));
      if (!seen.some((at) => at < d.revokedAt)) {
        d.good = false;
        this.no('false', d, 'the key was revoked');
      }
    }
    for (let moved = true; moved;) {
      moved = false;
      for (const d of this.documents.filter((x) => x.good && x.signatures.some((s) => this.learnedBy.get(s.kid)?.good === false))) {
        d.good = false;
        moved = true;
        this.no('false', d, 'the key is known only by a statement that is refused');
      }
    }
  }

  // one against the other

  dispatches() {
    this.byId = new Map();
    this.chains = new Map();
    const sorted = this.good('dispatch').sort((a, b) => (a.moment < b.moment || (a.moment === b.moment && a.digest < b.digest) ? -1 : 1));
    for (const d of sorted) {
      const id = d.p.get('id');
      if (this.byId.has(id)) this.no('false', d, 'one id, two dispatches');
      else this.byId.set(id, d);
      for (const r of d.p.get('recipients')) {
        const n = num(r.get('sequence'));
        if ((n === 1) !== (r.get('previous') === '')) this.no('false', d, 'previous and number 1');
        const pair = JSON.stringify([d.p.get('sender'), r.get('organisation')]);
        if (!this.chains.has(pair)) this.chains.set(pair, new Map());
        const chain = this.chains.get(pair);
        if (chain.has(n)) this.no('false', d, 'two dispatches with one number');
        else chain.set(n, { d, previous: r.get('previous') });
      }
    }
    for (const [pair, chain] of this.chains) {
      for (const [n, link] of chain) {
        const before = chain.get(n - 1);
        if (before && before.d.digest !== link.previous) this.no('false', link.d, 'the chain is broken');
      }
      if (this.wholeFolder && this.claims === null) this.gaps(pair, Math.min(...chain.keys()), Math.max(...chain.keys()));
    }
    for (const [pair, [first, last]] of this.claims ?? []) this.gaps(pair, first, last);
    for (const d of this.good('dispatch')) {
      for (const name of ['replaces', 'withdraws']) {
        const target = this.byId.get(d.p.get(name));
        if (target && target.p.get('sender') !== d.p.get('sender')) this.no('false', d, `${name} what another sent`);
        if (d.p.get(name) && !target) this.absent(d, `${name} what is not here`);
      }
    }
  }

  gaps(pair, first, last) {
    const chain = this.chains.get(pair) ?? new Map();
    const there = [...chain.keys()];
    const [from, to] = [Math.min(first, ...there), Math.max(last, ...there)];
    if (there.length < to - from + 1) this.no('missing', pair, `${to - from + 1 - there.length} numbers are missing`);
  }

  receipts() {
    this.answers = new Map();
    for (const r of this.good('receipt')) {
      const d = this.byDigest.get(r.p.get('digest'));
      if (d?.kind !== 'dispatch') {
        if (this.byId.has(r.p.get('dispatch'))) this.no('false', r, 'a receipt for other bytes');
        else this.absent(r, 'the dispatch of the receipt');
      } else if (d.p.get('id') !== r.p.get('dispatch')) this.no('false', r, 'a receipt for another id');
      else if (!d.p.get('recipients').some((x) => x.get('organisation') === r.p.get('organisation'))) {
        this.no('false', r, 'a receipt of no recipient');
        continue;
      }
      const whose = JSON.stringify([r.p.get('digest'), r.p.get('organisation')]);
      if (!this.answers.has(whose)) this.answers.set(whose, new Map());
      const codes = this.answers.get(whose);
      if (codes.has(r.p.get('code'))) this.no('false', r, 'two receipts of one code');
      else codes.set(r.p.get('code'), r);
    }
    for (const codes of this.answers.values()) {
      const r = [...codes.values()][0];
      if (codes.has('returned') && ['acknowledged', 'in_work', 'done'].some((c) => codes.has(c))) this.no('false', r, 'receipts contradict');
      if (['acknowledged', 'returned'].some((c) => codes.has(c)) && !codes.has('arrived')) this.absent(r, 'arrived');
      if (['in_work', 'done'].some((c) => codes.has(c)) && !codes.has('acknowledged')) this.absent(r, 'acknowledged');
    }
  }

  accounts() {
    for (const a of this.good('account')) {
      for (const row of a.p.get('sent')) {
        const chain = this.chains.get(JSON.stringify([row.get('from'), row.get('to')])) ?? new Map();
        for (const said of row.get('dispatches')) {
          const found = chain.get(num(said.get('sequence')))?.d;
          if (!found) { this.absent(a, 'a dispatch of the account'); continue; }
          if (found.digest !== said.get('digest')) { this.no('false', a, 'the account names other bytes'); continue; }
          const codes = this.answers.get(JSON.stringify([found.digest, row.get('to')])) ?? new Map();
          const other = { acknowledged: 'returned', returned: 'acknowledged' }[said.get('verdict')];
          if (codes.has(other)) this.no('false', a, 'the account and a receipt disagree');
          else if (said.get('arrived') && codes.has('arrived') && codes.get('arrived').moment !== said.get('arrived')) this.no('false', a, 'the moment of arrival');
        }
      }
    }
  }

  attachments() {
    const named = new Set(this.documents.filter((d) => d.kind === 'regulation').map((d) => d.p.get('digest')));
    for (const d of this.documents.filter((x) => x.kind === 'dispatch')) {
      for (const a of d.p.get('attachments')) {
        named.add(a.get('digest'));
        if (!d.good) continue;
        if (!this.files.has(a.get('digest'))) this.absent(d, 'an attachment');
        else if (this.files.get(a.get('digest')) !== num(a.get('size'))) this.no('false', d, 'the size of an attachment');
      }
    }
    for (const f of this.loose) if (!named.has(f)) this.no('missing', f, 'no document names this file');
  }
}

// --- §9: zip and bundle ---------------------------------------------------------------------------------------------------

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});
const crc32 = (bytes) => {
  let c = 0xffffffff;
  for (const b of bytes) c = CRC[(c ^ b) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
};

function unzip(zip) {
  const end = zip.length - 22;
  if (end < 0 || zip.readUInt32LE(end) !== 0x06054b50 || zip.readUInt16LE(end + 20) !== 0) fail('the zip does not end');
  const count = zip.readUInt16LE(end + 10);
  const [length, start] = [zip.readUInt32LE(end + 12), zip.readUInt32LE(end + 16)];
  if (count === 0xffff || length === 0xffffffff || start === 0xffffffff || start + length !== end) fail('the directory of the zip');
  const found = [];
  let at = start;
  for (let i = 0; i < count; i += 1) {
    if (at + 46 > end || zip.readUInt32LE(at) !== 0x02014b50) fail('the directory of the zip');
    const [named, extra, comment] = [28, 30, 32].map((o) => zip.readUInt16LE(at + o));
    const e = {
      raw: zip.subarray(at + 46, at + 46 + named), flags: zip.readUInt16LE(at + 8), method: zip.readUInt16LE(at + 10),
      crc: zip.readUInt32LE(at + 16), packed: zip.readUInt32LE(at + 20), size: zip.readUInt32LE(at + 24),
      mode: zip.readUInt16LE(at + 40), dos: zip.readUInt16LE(at + 38), offset: zip.readUInt32LE(at + 42),
    };
    e.name = e.raw.toString('latin1');
    found.push(e);
    at += 46 + named + extra + comment;
  }
  if (at !== end) fail('bytes in the directory of the zip');
  // every byte from the first to the directory belongs to one member
  at = 0;
  for (const e of [...found].sort((a, b) => a.offset - b.offset)) {
    if (e.offset !== at || at + 30 > start || zip.readUInt32LE(at) !== 0x04034b50) fail('bytes that belong to nothing');
    const named = zip.readUInt16LE(at + 26);
    e.body = at + 30 + named + zip.readUInt16LE(at + 28);
    if (!zip.subarray(at + 30, at + 30 + named).equals(e.raw)) fail('two names for one member');
    at = e.body + e.packed;
    if (e.flags & 8) {
      const said = Buffer.alloc(12);
      [e.crc, e.packed, e.size].forEach((n, i) => said.writeUInt32LE(n, 4 * i));
      if (zip.subarray(at, at + 16).equals(Buffer.concat([Buffer.from('PK\x07\x08', 'latin1'), said]))) at += 16;
      else if (zip.subarray(at, at + 12).equals(said)) at += 12;
    }
  }
  if (at !== start) fail('bytes behind the last member');
  const [names, tops] = [new Map(), new Set()];
  const seen = new Set();
  let total = 0;
  for (const e of found) {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\/?$/.test(e.name)) fail(`name ${JSON.stringify(e.name)}`);
    if (seen.has(e.name)) fail('a name twice');
    seen.add(e.name);
    const folder = e.name.endsWith('/');
    if (![0, folder ? 0o040000 : 0o100000].includes(e.mode & 0o170000) || e.dos & 0x0408) fail('a link');
    if (e.flags & 0x2041 || ![0, 8].includes(e.method)) fail('encrypted or packed in another way');
    if (folder && (e.size || e.packed)) fail('a folder with bytes');
    total += e.size;
    tops.add(e.name.split('/')[0]);
    if (!folder) {
      if (!e.name.includes('/')) fail('no outer folder');
      names.set(e.name.slice(e.name.indexOf('/') + 1), e);
    }
  }
  if (tops.size !== 1) fail('not one outer folder');
  if (total > 4 * 1024 ** 3 || total > 200 * zip.length) fail('a bomb');
  const files = new Map();
  for (const [name, e] of names) {
    const packed = zip.subarray(e.body, e.body + e.packed);
    let bytes = packed;
    if (e.method === 8) {
      try { bytes = inflateRawSync(packed, { maxOutputLength: Math.max(1, e.size) }); } catch { fail(`cannot unpack ${name}`); }
    }
    if (bytes.length !== e.size || crc32(bytes) !== e.crc) fail(`damaged: ${name}`);
    files.set(name, bytes);
  }
  return files;
}

function manifestOf(bytes) {
  const found = new Map();
  for (const line of utf8(bytes).split('\n').map((l) => l.replace(/\r$/, ''))) {
    if (!line) continue;
    const m = /^([0-9a-f]{64})[ \t]+([!-~]+)$/.exec(line);
    if (!m) fail('a line of the manifest');
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(m[2])) fail('a name in the manifest');
    if (found.has(m[2])) fail('two hashes');
    found.set(m[2], m[1]);
  }
  return found;
}

const TAGS = ['bagit.txt', 'bag-info.txt', 'manifest-sha256.txt'];

function bundle(checking, files, where, node) {
  for (const name of files.keys()) {
    if (![...TAGS, 'tagmanifest-sha256.txt', 'data/bundle.jws'].includes(name)
      && !/^data\/((items|echo)\/[0-9]{5,9}\.jsonl|files\/[0-9a-f]{64})$/.test(name)) fail(`a file too many: ${name}`);
  }
  const need = (name) => files.get(name) ?? fail(`${name} is missing`);
  const manifest = manifestOf(need('manifest-sha256.txt'));
  const tags = manifestOf(need('tagmanifest-sha256.txt'));
  if (tags.size !== 3 || TAGS.some((t) => !tags.has(t))) fail('tagmanifest');
  for (const [name, said] of [...manifest, ...tags]) if (sha256(need(name)) !== said) fail(`digest of ${name}`);
  for (const name of manifest.keys()) if (!name.startsWith('data/')) fail('manifest');
  for (const name of files.keys()) if (name.startsWith('data/') && !manifest.has(name)) fail(`${name} is in no manifest`);
  if (need('bagit.txt').toString('latin1').replace(/\r?\n$/, '').split(/\r?\n/).join('|') !== 'BagIt-Version: 1.0|Tag-File-Character-Encoding: UTF-8') fail('bagit.txt');
  const octets = [...manifest.keys()].reduce((sum, name) => sum + files.get(name).length, 0);
  const oxum = [...need('bag-info.txt').toString('latin1').matchAll(/^payload-oxum:[ \t]*(.*?)[ \t]*\r?$/gim)].map((m) => m[1]);
  if (oxum.length !== 1 || oxum[0] !== `${octets}.${manifest.size}`) fail('Payload-Oxum');
  for (const [name, said] of manifest) if (name.startsWith('data/files/') && name !== `data/files/${said}`) fail('the name of an attachment');
  const head = compact(need('data/bundle.jws'), `${where}/data/bundle.jws`);
  if (head.kind !== 'bundle') fail('data/bundle.jws');
  const { p } = head;
  const signed = p.get('payload');
  for (const name of new Set([...signed.keys(), ...manifest.keys()])) {
    if (name !== 'data/bundle.jws' && signed.get(name) !== manifest.get(name)) fail(`payload and manifest: ${name}`);
  }
  if (node && p.get('to') !== node) fail('for another node');
  if (num(p.get('part')) > num(p.get('parts'))) fail('part');
  checking.documents.push(head);
  if (p.has('echo_after') && !whole(0)(p.get('echo_after'))) fail('echo_after');
  const { count, first, last } = linesOf(checking, files, 'items', where);
  if (count !== num(p.get('items'))) fail('the number of items');
  if (first !== num(p.get('first')) || last !== num(p.get('last'))) fail('first and last');
  const echo = linesOf(checking, files, 'echo', where);
  if (p.has('echo')) {
    const said = p.get('echo');
    if (!members({ incarnation: text, after: whole(0), through: whole(0), last: whole(0), items: whole(0) })(said)) fail('echo');
    const [after, through, top] = ['after', 'through', 'last'].map((n) => num(said.get(n)));
    if (through < after || through > Math.max(after, top)) fail('through of the echo');
    if (echo.count !== num(said.get('items'))) fail('the number of items in the echo');
    if (echo.count && (echo.first <= after || echo.last > through)) fail('positions of the echo');
  } else if (echo.count) fail('an echo that the statement does not name');
  for (const name of manifest.keys()) if (name.startsWith('data/files/')) checking.files.set(name.slice(11), files.get(name).length);
  checking.run();
}

function linesOf(checking, files, folderOf, where) {
  let [count, first, last] = [0, 0, 0];
  const itemFiles = [...files.keys()].filter((n) => n.startsWith(`data/${folderOf}/`)).sort();
  itemFiles.forEach((name, i) => {
    if (name !== `data/${folderOf}/${String(i + 1).padStart(5, '0')}.jsonl`) fail('files of items');
    const lines = utf8(files.get(name)).split('\n');
    if (lines.at(-1) === '') lines.pop();
    if (lines.length > 1000) fail('too many lines');
    for (const [n, line] of lines.entries()) {
      const item = parseJson(Buffer.from(line));
      if (!members({ position: whole(1), kind: text, document: text })(item) || !orNull(list(text))(item.get('hops') ?? null)) fail('an item');
      if (num(item.get('position')) <= last) fail('positions');
      [count, first, last] = [count + 1, first || num(item.get('position')), num(item.get('position'))];
      const at = `${where}/${name}:${n + 1}`;
      checking.try(at, () => {
        const d = compact(Buffer.from(item.get('document')), at);
        if (d.kind !== item.get('kind') || !['dispatch', 'receipt', 'key', 'checkpoint', 'witness'].includes(d.kind)) fail('kind of the item');
        checking.documents.push(d);
        for (const one of item.get('hops') ?? []) {
          const h = compact(Buffer.from(one), at);
          if (h.kind !== 'hop') fail('a hop that is none');
          h.carriedBy = d.digest;
          checking.documents.push(h);
        }
      });
    }
  });
  return { count, first, last };
}

// --- §11: evidence folder -------------------------------------------------------------------------------------------------

function* textsIn(value) {
  if (text(value)) yield value;
  else if (Array.isArray(value)) for (const v of value) yield* textsIn(v);
  else if (isMap(value)) for (const v of value.values()) yield* textsIn(v);
}

// RFC 3161: TimeStampResp { status, ContentInfo { signedData, [0] SignedData { version, algorithms, { tSTInfo, [0] OCTET STRING { TSTInfo } } } } }
function imprintOf(bytes) {
  const parts = (of, ...tags) => {
    let at = 0;
    return tags.map((tag) => {
      if (of[at] !== tag || at + 2 > of.length) fail('no time-stamp of RFC 3161');
      let [size, start] = [of[at + 1], at + 2];
      if (size & 0x80) {
        const width = size & 0x7f;
        if (width > 6 || start + width > of.length) fail('a length in a time-stamp');
        size = width ? of.readUIntBE(start, width) : 0;
        start += width;
      }
      at = start + size;
      if (at > of.length) fail('a time-stamp is cut off');
      return of.subarray(start, at);
    });
  };
  const [status, content] = parts(parts(Buffer.from(bytes), 0x30)[0], 0x30, 0x30);
  if (!['00', '01'].includes(parts(status, 0x02)[0].toString('hex'))) fail('the authority refused');
  const [kind, explicit] = parts(content, 0x06, 0xa0);
  const inner = parts(parts(explicit, 0x30)[0], 0x02, 0x31, 0x30)[2];
  const [innerKind, octets] = parts(inner, 0x06, 0xa0);
  if (kind.toString('hex') !== '2a864886f70d010702' || innerKind.toString('hex') !== '2a864886f70d0109100104') fail('no time-stamp of RFC 3161');
  const info = parts(parts(parts(octets, 0x04)[0], 0x30)[0], 0x02, 0x06, 0x30, 0x02, 0x18);
  const [algorithm, hashed] = parts(info[2], 0x30, 0x04);
  if (parts(algorithm, 0x06)[0].toString('hex') !== '608648016503040201' || hashed.length !== 32) fail('another hash than SHA-256');
  if (!/^\d{14}(\.\d+)?Z$/.test(info[4].toString('latin1'))) fail('the moment of a time-stamp');
  return hashed.toString('hex');
}

function folder(checking, files, where) {
  for (const name of ['folder.json', 'keys.json', 'manifest-sha256.txt']) if (!files.has(name)) fail(`no ${name}`);
  const manifest = manifestOf(files.get('manifest-sha256.txt'));
  const junk = (name) => ['.DS_Store', 'Thumbs.db', 'desktop.ini'].includes(basename(name));
  for (const name of files.keys()) {
    if (name !== 'manifest-sha256.txt' && !manifest.has(name) && !junk(name)) checking.no('false', name, 'not in the manifest');
  }
  checking.wholeFolder = true;
  for (const [name, said] of manifest) {
    const bytes = files.get(name);
    if (!bytes) { checking.no('missing', name, 'in the manifest, not here'); continue; }
    if (sha256(bytes) !== said) { checking.no('false', name, 'digest'); continue; }
    checking.try(name, () => {
      const [place, base] = name.includes('/') ? [dirname(name), basename(name)] : ['', name];
      if (place === 'documents' && base.endsWith('.jws')) checking.documents.push(compact(bytes, name));
      else if (place === 'documents' && base.endsWith('.json')) checking.documents.push(several(parseJson(bytes), name));
      else if (place === 'files' && HEX.test(base)) {
        if (base !== said) fail('the name of a file');
        checking.files.set(base, bytes.length);
      } else if (place === 'seals' && HEX.test(base)) {
        if (base !== said) fail('the name of a seal');
        const lines = utf8(bytes).split('\n');
        if (lines[0] !== 'hiepdong.seal/1' || lines.pop() !== '' || !lines.slice(3).every((l) => HEX.test(l))) fail('a seal');
        checking.seals.set(base, { n: Number(lines[1]), before: lines[2], entries: lines.slice(3) });
      } else if (place === 'stamps' && base.endsWith('.tsr') && HEX.test(base.slice(0, -4))) {
        checking.stamps.set(base.slice(0, -4), { name, imprint: imprintOf(bytes) });
      } else if (place === 'entries' && base.endsWith('.json')) {
        if (base !== `${said}.json`) fail('the name of an entry');
        checking.entries.set(said, [...textsIn(parseJson(bytes))]);
      } else if (name === 'keys.json') {
        const own = new Ring().keysJson(bytes);
        if (!checking.ring.given) [checking.ring.keys, checking.ring.speakers] = [own.keys, own.speakers];
        for (const [kid, key] of own.keys) {
          const known = checking.ring.keys.get(kid);
          if (known && (known.owner !== key.owner || known.node !== key.node)) fail('a key of two owners');
        }
      } else if (name === 'folder.json') {
        const claim = members({ sender: filled, recipient: filled, first: whole(1), last: whole(0) });
        const value = parseJson(bytes);
        if (!members({ format: oneOf('hiepdong.evidence/1'), about: text, made_at: moment, made_by: text, complete: list(claim) })(value)) fail('folder.json');
        checking.claims = value.get('complete').map((c) => [JSON.stringify([c.get('sender'), c.get('recipient')]), [num(c.get('first')), num(c.get('last'))]]);
      } else if (!['README.txt', 'verify.py'].includes(name) && place !== 'reviews') fail('a file in no place of the protocol');
    });
  }
  checking.run();
}

// --- the command ----------------------------------------------------------------------------------------------------------

function check(paths, trusted, node) {
  const reasons = [];
  const loose = new Checking(trusted);
  for (const path of paths) {
    const bytes = readFileSync(path);
    const where = basename(path);
    const alone = new Checking(trusted);
    alone.try(where, () => {
      if (bytes.subarray(0, 21).toString('latin1') === 'age-encryption.org/v1') throw new Missing('encrypted');
      if (path.endsWith('.zip')) {
        const files = unzip(bytes);
        if (files.has('folder.json')) folder(alone, files, where);
        else if ([...files.keys()].some((n) => n === 'bagit.txt' || n.startsWith('data/'))) bundle(alone, files, where, node);
        else loose.loose.add(sha256(bytes));
      } else if (path.endsWith('.jws')) loose.documents.push(compact(bytes, where));
      else if (path.endsWith('.json')) loose.documents.push(several(parseJson(bytes), where));
      else {
        loose.files.set(sha256(bytes), bytes.length);
        loose.loose.add(sha256(bytes));
      }
    });
    reasons.push(...alone.reasons);
  }
  reasons.push(...loose.run().reasons);
  const levels = reasons.map((r) => r.level);
  return { verdict: levels.includes('false') ? 'false' : levels.includes('missing') ? 'missing' : 'good', reasons };
}

function trustedKeys(path) {
  if (!path) return null;
  const ring = new Ring().keysJson(readFileSync(path));
  ring.given = true;
  return ring;
}

const args = process.argv.slice(2);
const option = (name) => { const i = args.indexOf(name); return i < 0 ? '' : args.splice(i, 2)[1]; };
const vectors = option('--vectors');
if (vectors) {
  const index = JSON.parse(readFileSync(vectors, 'utf8'));
  const here = (name) => (name ? join(dirname(vectors), name) : '');
  const found = {};
  for (const v of index.vectors) {
    let trusted;
    try { trusted = trustedKeys(here(v.options?.keys ?? index.keys)); } catch (e) {
      if (!(e instanceof False)) throw e;
      found[v.name] = { verdict: 'refused', reasons: [e.message] };
      continue;
    }
    found[v.name] = check(v.files.map(here), trusted, v.options?.node ?? '');
  }
  process.stdout.write(`${JSON.stringify(found, null, 1)}\n`);
} else {
  const [keys, node] = [option('--keys'), option('--node')];
  if (!args.length) {
    process.stderr.write('usage: node verify.mjs [--keys KEYS.json] [--node ID] FILE…\n');
    process.exit(2);
  }
  let trusted;
  try { trusted = trustedKeys(keys); } catch (e) {
    process.stderr.write(`${keys}: ${e.message}\n`);
    process.exit(2);
  }
  const found = check(args, trusted, node);
  process.stdout.write(`${JSON.stringify(found, null, 1)}\n`);
  process.exit(found.verdict === 'good' ? 0 : 1);
}
