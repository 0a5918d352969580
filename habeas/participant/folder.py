"""The folder of a system that keeps its data in files."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.settings import load


class FolderSettings(BaseSettings):
    """`HABEAS_DATA_DIR`: the folder of a system that keeps its data in files."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", frozen=True)

    data_dir: Path
    """the system's own folder"""


def data_folder() -> Path:
    """The system's own folder, readable by it alone. Raises `SettingsError` when HABEAS_DATA_DIR is not set."""
    folder = load(FolderSettings).data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
