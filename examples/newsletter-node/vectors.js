// Whether sealing.js opens, refuses and seals as the contract's test vectors say: node vectors.js FILE

import { readFileSync } from 'node:fs';
import { Keyring } from './sealing.js';

const vectors = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const keyring = new Keyring(vectors.keys, () => vectors.now);
const wrong = [];

const place = (vector) => ({
  participant: vector.place.participant,
  type: vector.place.ce_type,
  subject: vector.place.request_id,
  taskId: vector.place.task_id,
});

for (const vector of vectors.opens) {
  const opened = await keyring.open(place(vector), vector.token).catch((error) => error);
  if (!(opened instanceof Uint8Array) || Buffer.from(opened).toString() !== vector.plaintext) wrong.push(vector.name);
}
for (const vector of vectors.refused) {
  const refusal = await keyring.open(place(vector), vector.token).catch((error) => error);
  if (refusal.reason !== vector.reason) wrong.push(`${vector.name}: ${refusal.reason ?? 'opened'}`);
}
for (const [participant, kid] of Object.entries(vectors.seals_now)) {
  const somewhere = { participant, type: 'dsr.task.finished.v1', subject: crypto.randomUUID() };
  const token = await keyring.seal(somewhere, '{}');
  if (keyring.sealing(participant).kid !== kid) wrong.push(`seals under ${kid}`);
  if (Buffer.from(await keyring.open(somewhere, token)).toString() !== '{}') wrong.push(`${participant} opens its own`);
}
console.log(JSON.stringify({ opens: vectors.opens.length, refused: vectors.refused.length, wrong }));
process.exitCode = wrong.length === 0 ? 0 : 1;
