from tests.core.fixtures import clock, kafka, keys, letters_topic, make_outbox, new_topics, quiet
from tests.stack_database import database, databases

__all__ = ["clock", "database", "databases", "kafka", "keys", "letters_topic", "make_outbox", "new_topics", "quiet"]
