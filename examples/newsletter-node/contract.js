// The envelope and the bodies: what a task record says, and what an answer or a dead letter looks like.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import Ajv from 'ajv/dist/2020.js';
import { isId, Refusal, sameId } from './sealing.js';

const ASSIGNED = 'dsr.task.assigned.v1';
const REMINDED = 'dsr.task.reminded.v1';
const CANCELLED = 'dsr.task.cancelled.v1';
const FINISHED = 'dsr.task.finished.v1';
const DEAD_LETTER = 'dsr.dead-letter.v1';

const SCHEMAS = process.env.CONTRACT_SCHEMAS ?? new URL('../../docs/contract/schemas/', import.meta.url).pathname;
const TYPES = new Set(readdirSync(SCHEMAS).map((name) => name.replace(/(\.personal)?\.json$/, '')));
const ajv = new Ajv({ strict: false, validateFormats: false });
const schema = (name) => ajv.compile(JSON.parse(readFileSync(`${SCHEMAS}/${name}.json`, 'utf8')));
const bodies = { [ASSIGNED]: schema(ASSIGNED), [REMINDED]: schema(REMINDED), [CANCELLED]: schema(CANCELLED) };
const personal = { [ASSIGNED]: schema(`${ASSIGNED}.personal`), [REMINDED]: schema(`${REMINDED}.personal`) };

const REQUIRED = ['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_time', 'ce_subject'];
const FORMS = {
  ce_specversion: (text) => text === '1.0',
  ce_id: isId,
  ce_source: (text) => /^[!-~]{1,256}$/.test(text),
  ce_type: (text) => /^[A-Za-z0-9._-]{1,128}$/.test(text),
  ce_time: (text) => !Number.isNaN(Date.parse(text)) && /T.*(Z|[+-]\d\d:\d\d)$/i.test(text),
  ce_subject: isId,
};

/** The task or cancellation in a Kafka record, opened. Throws a Refusal for whatever breaks the contract. */
export async function readTask(record, system, keyring) {
  if (record.value === null) throw new Refusal('tombstone', '', 'the record has no value');
  let attributes = headers(record);
  let body;
  const kind = (attributes['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (kind === 'application/cloudevents+json') {
    const { data, ...envelope } = json(record.value);
    attributes = Object.fromEntries(Object.entries(envelope).map(([name, value]) => [`ce_${name}`, value]));
    body = data;
  } else if (kind !== 'application/json') {
    throw new Refusal(kind ? 'header_invalid' : 'header_missing', 'content-type', 'must be application/json');
  }
  for (const name of REQUIRED) {
    if (attributes[name] === undefined) throw new Refusal('header_missing', name, 'is required');
    if (!FORMS[name](attributes[name])) throw new Refusal('header_invalid', name, 'has another form');
  }
  if (record.key === null) throw new Refusal('key_missing', '', 'the key must be the request id');
  if (!isId(record.key.toString())) throw new Refusal('key_invalid', '', 'the key must be a UUID');
  if (!sameId(record.key.toString(), attributes.ce_subject)) {
    throw new Refusal('key_mismatch', '', 'key and ce_subject must be the same');
  }
  const type = attributes.ce_type;
  if (!(type in bodies)) {
    throw new Refusal(TYPES.has(type) ? 'type_unexpected' : 'type_unknown', 'ce_type', 'is no task');
  }
  body ??= json(record.value);
  check(bodies[type], body);
  if (!sameId(body.request_id, attributes.ce_subject)) {
    throw new Refusal('key_mismatch', '/request_id', "must be the record's key");
  }
  if (type === CANCELLED) return { cancelled: true, taskId: body.task_id.toLowerCase() };
  if (body.system !== system) throw new Refusal('task_foreign', '/system', `must be ${system}`);
  const place = { participant: system, type, subject: body.request_id, taskId: body.task_id };
  const opened = json(await keyring.open(place, body.personal), '/personal');
  check(personal[type], opened, '/personal');
  return {
    taskId: body.task_id.toLowerCase(),
    requestId: body.request_id.toLowerCase(),
    action: body.action,
    scope: body.scope,
    identities: opened.subject.identities,
    corrections: opened.details?.corrections ?? [],
  };
}

/** The body of an answer, as text. */
export async function finished(task, system, keyring, { outcome, summary = [], error = null, records = [] }) {
  const place = { participant: system, type: FINISHED, subject: task.requestId, taskId: task.taskId };
  const sealed = await keyring.seal(place, JSON.stringify({ records, identities: [], labels: {}, message: null }));
  return JSON.stringify({
    task_id: task.taskId,
    request_id: task.requestId,
    system,
    outcome,
    summary,
    error,
    artifacts: [],
    personal: sealed,
  });
}

/** The Kafka message of a stored answer: the same each time. */
export const answer = (stored, system) =>
  message({ id: stored.ce_id, time: stored.ce_time, type: FINISHED, subject: stored.request_id, system }, stored.body);

/** A record that cannot be used, sealed whole, with why in clear. Refused twice, it is the same dead letter. */
export async function deadLetter(record, refusal, system, keyring, now) {
  const id = idOf(`${record.topic}/${record.partition}/${record.offset}`);
  const base64 = (bytes) => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('base64'));
  const place = { participant: system, type: DEAD_LETTER, subject: id };
  const whole = {
    key: base64(record.key),
    value: base64(record.value),
    headers: Object.entries(record.headers).flatMap(([name, values]) =>
      [values].flat().map((value) => [name, base64(value)]),
    ),
  };
  const body = {
    dead_letter_id: id,
    reason: refusal.reason,
    pointer: refusal.pointer,
    detail: refusal.message,
    topic: record.topic,
    partition: record.partition,
    offset: Number(record.offset),
    recorded_at: new Date(Number(record.timestamp)).toISOString(),
    refused_at: now.toISOString(),
    refused_by: system,
    bytes: record.value?.length ?? 0,
    personal: await keyring.seal(place, JSON.stringify(whole)),
  };
  return message({ id, time: now.toISOString(), type: DEAD_LETTER, subject: id, system }, JSON.stringify(body));
}

function message({ id, time, type, subject, system }, body) {
  return {
    key: subject,
    value: body,
    headers: {
      ce_specversion: '1.0',
      ce_id: id,
      ce_source: `systems/${system}`,
      ce_type: type,
      ce_time: time,
      ce_subject: subject,
      'content-type': 'application/json',
    },
  };
}

function headers(record) {
  const read = new Set([...REQUIRED, 'content-type']);
  const attributes = {};
  for (const [name, value] of Object.entries(record.headers)) {
    if (!read.has(name)) continue;
    if (Array.isArray(value)) throw new Refusal('header_repeated', name, 'must stand once');
    if (value === null || value === undefined) throw new Refusal('header_invalid', name, 'is null');
    attributes[name] = utf8(value) ?? refuse('header_invalid', name, 'is not UTF-8');
  }
  return attributes;
}

function check(validate, body, prefix = '') {
  if (validate(body)) return;
  const finding = validate.errors.find((error) => error.instancePath === '/personal') ?? validate.errors[0];
  if (!prefix && finding.instancePath === '/personal') {
    const token = typeof body.personal === 'string' && /^[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){4}$/.test(body.personal);
    refuse(token ? 'personal_unopenable' : 'personal_in_clear', '/personal', 'must be a compact JWE');
  }
  if (finding.keyword === 'required') {
    const pointer = `${prefix}${finding.instancePath}/${finding.params.missingProperty}`;
    refuse('member_missing', pointer, 'the member is required');
  }
  refuse('member_invalid', `${prefix}${finding.instancePath}`, 'does not fit the schema');
}

function json(bytes, pointer = '') {
  const text = utf8(bytes);
  try {
    if (text !== null) return JSON.parse(text);
  } catch {
    // as below
  }
  throw new Refusal('not_json', pointer, 'must be JSON in UTF-8');
}

function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function refuse(reason, pointer, detail) {
  throw new Refusal(reason, pointer, detail);
}

function idOf(text) {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
