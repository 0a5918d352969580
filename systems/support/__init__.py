"""Support: conversations and what the product team made of them, in SQLite."""
