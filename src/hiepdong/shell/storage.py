"""Static files with content hashes, compressed, and without references to source maps that are not served."""

import re
from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

_SOURCE_MAP = re.compile(rb"/[*/][#@] ?sourceMappingURL=[^\n*]*(?:\*/)?")


class AssetStorage(CompressedManifestStaticFilesStorage):
    """Strip `sourceMappingURL` when a file is stored: the maps stay in node_modules."""

    manifest_strict = False

    def _save(self, name: str, content: Any) -> str:
        if name.endswith((".css", ".js")):
            content = ContentFile(_SOURCE_MAP.sub(b"", content.read()))
        return str(super()._save(name, content))

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Hash and compress, as whitenoise does."""
        yield from super().post_process(*args, **kwargs)
