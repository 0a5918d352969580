"""The warehouse: visits, marketing consents with the suppression list, and limits, in Parquet files of one folder."""

from pathlib import Path

from systems.analytics.files import Files
from systems.analytics.limits import Limits
from systems.analytics.marketing import Marketing
from systems.analytics.seed import seed
from systems.analytics.visits import Visits
from systems.keyed_hash import KeyedHash


class Warehouse:
    """Opened by the participant and by the team's own code alike, also at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = Files(folder)
        with self._files.changing():
            (folder / "visits").mkdir(mode=0o700, exist_ok=True)
            self._files.remove_leftovers()
            seeded = folder / "seeded"
            if not seeded.exists():
                seed(self._files)
                seeded.touch(mode=0o600)
            self.hash = KeyedHash(folder.parent)
            self.limits = Limits(self._files)
        self.visits = Visits(self._files, self.limits, self.hash)
        self.marketing = Marketing(self._files, self.limits, self.hash)

    def close(self) -> None:
        self._files.close()
