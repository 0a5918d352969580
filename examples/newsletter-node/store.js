// The subscriptions, and beside them what was answered: one SQLite file, so one transaction for both.

import { DatabaseSync } from 'node:sqlite';

const TABLES = `
  create table if not exists subscriptions (id integer primary key, email text not null, topic text not null);
  create table if not exists answers
    (task_id text primary key, request_id text, action text, ce_id text, ce_time text, body text);
  create table if not exists cancellations (task_id text primary key);
  create table if not exists erased (request_id text primary key, subscriptions integer not null);
`;

export class Store {
  #db;

  constructor(file) {
    this.#db = new DatabaseSync(file);
    this.#db.exec('pragma journal_mode = wal; pragma synchronous = full; pragma secure_delete = on');
    this.#db.exec(TABLES);
  }

  /** What `work` changes is there as a whole, or not at all. */
  async transaction(work) {
    this.#db.exec('begin immediate');
    try {
      const result = await work();
      this.#db.exec('commit');
      return result;
    } catch (error) {
      this.#db.exec('rollback');
      throw error;
    }
  }

  answer(taskId) {
    return this.#db.prepare('select * from answers where task_id = ?').get(taskId);
  }

  keep(answer) {
    this.#db
      .prepare('insert into answers values (:task_id, :request_id, :action, :ce_id, :ce_time, :body)')
      .run(answer);
  }

  cancel(taskId) {
    this.#db.prepare('insert or ignore into cancellations values (?)').run(taskId);
  }

  isCancelled(taskId) {
    return this.#db.prepare('select 1 from cancellations where task_id = ?').get(taskId) !== undefined;
  }

  subscribe(email, topic) {
    this.#db.prepare('insert into subscriptions (email, topic) values (?, ?)').run(email, topic);
  }

  subscriptions(email) {
    return this.#db.prepare('select id, topic from subscriptions where email = ? order by id').all(email);
  }

  /** Deletes; returns how many it has deleted for this request, now and before: an erasure happens once. */
  erase(requestId, email) {
    const { changes } = this.#db.prepare('delete from subscriptions where email = ?').run(email);
    this.#db
      .prepare(
        `insert into erased values (?, ?)
         on conflict do update set subscriptions = subscriptions + excluded.subscriptions`,
      )
      .run(requestId, changes);
    return this.#db.prepare('select subscriptions from erased where request_id = ?').get(requestId).subscriptions;
  }
}
