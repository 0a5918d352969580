// Sealing: compact JWE, `dir` and `A256GCM`, bound to its place (docs/contract/README.md, "Sealing").

import { readFileSync } from 'node:fs';
import { CompactEncrypt, compactDecrypt } from 'jose';

/** Why a record cannot be used: one of the contract's reasons, and the member or header at fault. */
export class Refusal extends Error {
  constructor(reason, pointer, detail) {
    super(detail);
    this.reason = reason;
    this.pointer = pointer;
  }
}

export class Keyring {
  #keys;
  #now;

  constructor(keySet, now = () => Date.now() / 1000) {
    this.#keys = new Map(keySet.keys.map((key) => [key.kid, { ...key, secret: Buffer.from(key.k, 'base64url') }]));
    this.#now = now;
  }

  static read(file) {
    return new Keyring(JSON.parse(readFileSync(file, 'utf8')));
  }

  /** The key that seals now: the highest number whose `nbf` has passed. */
  sealing(participant) {
    const number = (key) => Number(key.kid.split('/')[1]);
    const usable = [...this.#keys.values()].filter(
      (key) => key.kid.split('/')[0] === participant && (key.nbf ?? 0) <= this.#now(),
    );
    if (usable.length === 0) throw new Error(`no usable key of ${participant} in the key file`);
    return usable.reduce((best, key) => (number(key) > number(best) ? key : best));
  }

  async seal({ participant, type, subject, taskId }, text) {
    const { kid, secret } = this.sealing(participant);
    const header = { alg: 'dir', enc: 'A256GCM', kid, typ: type, sub: subject };
    if (taskId) header.tid = taskId;
    return new CompactEncrypt(new TextEncoder().encode(text)).setProtectedHeader(header).encrypt(secret);
  }

  /** The bytes in `token`, if it was sealed for exactly this place. */
  async open({ participant, type, subject, taskId }, token) {
    const parts = token.split('.');
    if (parts.length !== 5 || !parts.every(isBase64url) || parts[1] !== '') throw unopenable('not a compact JWE');
    const header = members(parts[0]);
    const sizes = [bytes(parts[2]), bytes(parts[4])];
    if (!header || sizes[0] !== 12 || sizes[1] !== 16) throw unopenable('not a compact JWE');
    if (typeof header.kid !== 'string' || !/^[a-z][a-z0-9-]{1,30}\/[1-9][0-9]{0,8}$/.test(header.kid)) {
      throw unopenable('kid is not <participant>/<number>');
    }
    if (header.kid.split('/')[0] !== participant) {
      throw new Refusal('key_foreign', '/personal', `must be sealed under a key of ${participant}`);
    }
    if (header.alg !== 'dir' || header.enc !== 'A256GCM' || 'zip' in header || 'crit' in header) {
      throw unopenable('alg must be dir, enc A256GCM, without zip or crit');
    }
    const placed =
      header.typ === type &&
      sameId(header.sub, subject) &&
      (taskId ? sameId(header.tid, taskId) : !('tid' in header));
    if (!placed) throw new Refusal('personal_misplaced', '/personal', 'sealed for another place');
    const key = this.#keys.get(header.kid);
    if (!key) throw new Refusal('key_unknown', '/personal', `a key of ${participant} that is not in the key file`);
    try {
      return (await compactDecrypt(token, key.secret)).plaintext;
    } catch {
      throw unopenable('the key does not open it');
    }
  }
}

export const isId = (text) => typeof text === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);

export const sameId = (one, other) => isId(one) && isId(other) && one.toLowerCase() === other.toLowerCase();

const unopenable = (detail) => new Refusal('personal_unopenable', '/personal', detail);

const bytes = (part) => Buffer.from(part, 'base64url').length;

// Strict: no padding, no other letters, and unused bits zero.
const isBase64url = (part) =>
  /^[A-Za-z0-9_-]*$/.test(part) && Buffer.from(part, 'base64url').toString('base64url') === part;

function members(part) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(part, 'base64url'));
    const header = JSON.parse(text);
    return header !== null && typeof header === 'object' && !Array.isArray(header) ? header : null;
  } catch {
    return null;
  }
}
