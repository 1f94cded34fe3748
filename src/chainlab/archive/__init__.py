"""The archive of build evidence: `Archive` keeps the documents of every build and answers where a component is."""

from chainlab.archive.archive import Archive
from chainlab.archive.entries import Build

__all__ = ["Archive", "Build"]
