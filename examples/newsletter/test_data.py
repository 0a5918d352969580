"""Two subscriptions for each of the people in people.json, in the newsletter's own store."""

import json
import sqlite3
from pathlib import Path

from habeas.participant import data_folder

with sqlite3.connect(data_folder() / "newsletter.db") as db:
    db.execute("create table if not exists subscriptions (id integer primary key, email text, topic text)")
    for person in json.loads(Path(__file__).with_name("people.json").read_text())["people"]:
        for topic in ("offers", "news"):
            db.execute("insert into subscriptions (email, topic) values (?, ?)", [person["identities"]["email"], topic])
