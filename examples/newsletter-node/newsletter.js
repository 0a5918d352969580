// A newsletter's subscriptions as a participant: tasks in, answers out, each stored with its effect.

import { mkdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { answer, deadLetter, finished, readTask } from './contract.js';
import { Keyring, Refusal } from './sealing.js';
import { Store } from './store.js';

const SYSTEM = process.env.NEWSLETTER_NAME ?? 'newsletter-node';
const CATEGORY = 'subscriptions';
const INSTRUCTIONS = ['delete', 'anonymize', 'retain', null, undefined];
const KEY_PAUSES = [500, 1000, 2000, 4000]; // milliseconds between looks into the key file, while a rotation is under way

const setting = (name) => process.env[name] ?? stop(2, `set ${name}`);
const store = (mkdirSync(setting('HABEAS_DATA_DIR'), { recursive: true, mode: 0o700 }),
  new Store(`${setting('HABEAS_DATA_DIR')}/newsletter.db`));
const keyring = () => Keyring.read(setting('HABEAS_KEYS')); // read anew for each batch: a rotation needs no restart

/** What there is to say, and to do, for one task. */
function work(task) {
  if (store.isCancelled(task.taskId)) return { outcome: 'cancelled' };
  const asked = task.scope.some((item) => item.category === CATEGORY);
  const emails = asked ? task.identities.filter((each) => each.identity_type === 'email') : [];
  switch (task.action) {
    case 'access':
    case 'export': {
      const records = emails
        .flatMap((email) => store.subscriptions(email.identity_value))
        .map(({ id, topic }) => ({ id: String(id), category: CATEGORY, origin: 'provided', data: { topic } }));
      return done(task.action === 'export' ? 'exported' : 'disclosed', records.length, records);
    }
    case 'erase': {
      if (!task.scope.every((item) => INSTRUCTIONS.includes(item.instruction))) {
        return { outcome: 'unsupported', error: { code: 'instruction_unsupported', retryable: false } };
      }
      const erased = emails.map((email) => store.erase(task.requestId, email.identity_value));
      return done('deleted', Math.max(0, ...erased));
    }
    default:
      return { outcome: 'unsupported', error: { code: 'action_unsupported', retryable: false } };
  }
}

const done = (did, count, records = []) =>
  count === 0
    ? { outcome: 'nothing_held' }
    : { outcome: 'completed', summary: [{ category: CATEGORY, did, count }], records };

/** The stored answer to a task; made, with its effect, where there is none yet. */
async function answered(task, keys) {
  const known = store.answer(task.taskId);
  if (known) return known;
  const stored = {
    task_id: task.taskId,
    request_id: task.requestId,
    action: task.action,
    ce_id: crypto.randomUUID(),
    ce_time: new Date().toISOString(),
    body: await finished(task, SYSTEM, keys, work(task)),
  };
  store.keep(stored);
  return stored;
}

async function read(record) {
  for (const wait of [...KEY_PAUSES, null]) {
    try {
      return await readTask(record, SYSTEM, keyring());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.reason !== 'key_unknown' || wait === null) return error;
      await pause(wait);
    }
  }
}

async function take(records) {
  const keys = keyring();
  const answers = [];
  const letters = [];
  const tasks = [];
  for (const record of records) {
    const task = await read(record);
    if (task instanceof Refusal) letters.push(await deadLetter(record, task, SYSTEM, keys, new Date()));
    else tasks.push(task);
  }
  await store.transaction(async () => {
    for (const task of tasks.filter((each) => each.cancelled)) store.cancel(task.taskId);
    for (const task of tasks.filter((each) => !each.cancelled)) answers.push(answer(await answered(task, keys), SYSTEM));
  });
  await producer.sendBatch({
    acks: -1,
    topicMessages: [
      { topic: `dsr.system.${SYSTEM}.results.v1`, messages: answers },
      { topic: `dsr.system.${SYSTEM}.dead-letters.v1`, messages: letters },
    ].filter(({ messages }) => messages.length > 0),
  });
}

function stop(code, why) {
  console.error(why);
  process.exit(code);
}

const kafka = new Kafka({
  clientId: SYSTEM,
  brokers: setting('HABEAS_KAFKA_BOOTSTRAP_SERVERS').split(','),
  ssl: (process.env.HABEAS_KAFKA_SECURITY_PROTOCOL ?? '').endsWith('SSL'),
  sasl: {
    mechanism: (process.env.HABEAS_KAFKA_SASL_MECHANISM ?? 'SCRAM-SHA-512').toLowerCase(),
    username: setting('HABEAS_KAFKA_SASL_USERNAME'),
    password: setting('HABEAS_KAFKA_SASL_PASSWORD'),
  },
  logLevel: logLevel.NOTHING, // its errors quote what they stumble over; what matters ends the process
});
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
const consumer = kafka.consumer({
  groupId: `dsr.${SYSTEM}.tasks`,
  sessionTimeout: 6000,
  heartbeatInterval: 2000,
  maxWaitTimeInMs: 100,
  maxBytesPerPartition: 4_194_304,
});
consumer.on(consumer.events.CRASH, ({ payload }) => stop(1, `stopped: ${payload.error.name}`));
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await consumer.disconnect();
    await producer.disconnect();
    process.exit(0);
  });
}

await producer.connect();
await consumer.connect();
await consumer.subscribe({ topic: `dsr.system.${SYSTEM}.tasks.v1`, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const records = batch.messages.map((each) => ({ ...each, topic: batch.topic, partition: batch.partition }));
    await take(records);
    const offset = String(BigInt(batch.lastOffset()) + 1n);
    await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset }]);
  },
});
