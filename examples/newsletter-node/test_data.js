// Two subscriptions for each of the people in a file, in the newsletter's own store: node test_data.js people.json

import { mkdirSync, readFileSync } from 'node:fs';
import { Store } from './store.js';

mkdirSync(process.env.HABEAS_DATA_DIR, { recursive: true, mode: 0o700 });
const store = new Store(`${process.env.HABEAS_DATA_DIR}/newsletter.db`);
for (const person of JSON.parse(readFileSync(process.argv[2], 'utf8')).people) {
  for (const topic of ['offers', 'news']) store.subscribe(person.identities.email, topic);
}
