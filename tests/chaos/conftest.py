from tests.core.fixtures import quiet
from tests.stack_database import database, databases

__all__ = ["database", "databases", "quiet"]
