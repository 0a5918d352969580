"""Two subscriptions for each of the people in people.json, in the newsletter's own store."""

import asyncio
import json
import sqlite3
from pathlib import Path

from newsletter import prepare

from habeas.participant import data_folder

with sqlite3.connect(data_folder() / "newsletter.db") as db:
    asyncio.run(prepare(db))
    for person in json.loads(Path(__file__).with_name("people.json").read_text())["people"]:
        for topic in ("offers", "news"):
            db.execute("insert into subscriptions (email, topic) values (?, ?)", [person["identities"]["email"], topic])
