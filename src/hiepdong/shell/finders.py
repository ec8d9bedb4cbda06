"""Find the few third-party files we serve among the thousands that npm installs."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage


class AssetFinder(BaseFinder):
    """Serve exactly the files of settings.HIEPDONG_ASSET_FILES: static path -> path below HIEPDONG_ASSETS."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """Return the absolute path of an asset, or an empty list as Django's own finders do."""
        target = settings.HIEPDONG_ASSET_FILES.get(path)
        found = [str(Path(settings.HIEPDONG_ASSETS) / target)] if target else []
        return found[0] if found and not find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        """Yield (static path, storage) of every asset."""
        for path, target in settings.HIEPDONG_ASSET_FILES.items():
            yield path, _OneFile(path, Path(settings.HIEPDONG_ASSETS) / target)


_SOURCE_MAP = re.compile(rb"/[*/][#@] ?sourceMappingURL=[^\n*]*(?:\*/)?")


class _OneFile(FileSystemStorage):
    """A storage that holds one file under a given name, without its reference to a source map that is not served."""

    def __init__(self, name: str, target: Path) -> None:
        super().__init__(location=target.parent)
        self.prefix = ""
        self._name, self._target = name, target

    def path(self, name: str) -> str:
        return str(self._target)

    def _open(self, name: str, mode: str = "rb") -> Any:
        if not name.endswith((".css", ".js")):
            return super()._open(name, mode)  # type: ignore[misc]
        return ContentFile(_SOURCE_MAP.sub(b"", self._target.read_bytes()), name=name)
