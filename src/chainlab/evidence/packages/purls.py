"""Package URLs, parsed and compared by their parts: however it is spelled, a package is one.

    >>> is_same("pkg:npm/@acme/ui@1.0.0", "pkg:npm/%40acme/ui@1.0.0")
    True
    >>> package_of("pkg:pypi/Acme_Cells@1.0") == package_named("PyPI", "acme-cells")
    True

A URL without a version names no release. Instead of a version it may have a range in its qualifier ``vers``. An image
(``pkg:oci``) has its manifest's digest as its version, so that digest names it too.
package-url/purl-spec; package-url/vers-spec; names in PyPI are compared as PEP 503 says.
"""

from __future__ import annotations

from functools import lru_cache

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from chainlab.evidence.packages.versions import is_in_vers, parse_version

__all__ = ["PYPI", "TYPES", "Package", "is_same", "package_named", "package_of", "parse_purl"]

PYPI = "PyPI"
TYPES = {  # OSV's name of an ecosystem, and the type of its package URLs
    PYPI: "pypi",
    "npm": "npm",
    "crates.io": "cargo",
    "Go": "golang",
    "RubyGems": "gem",
    "Maven": "maven",
    "NuGet": "nuget",
    "Packagist": "composer",
    "Hex": "hex",
    "Pub": "pub",
    "GitHub Actions": "githubactions",
}
FOLDED = ("nuget", "githubactions")  # types whose names do not depend on case, which packageurl leaves as it is
IMAGES = ("oci", "docker")  # types whose version may be a digest
Package = tuple[str, str, str]  # type, namespace and name, canonical


@lru_cache(maxsize=65_536)
def parse_purl(text: str) -> PackageURL | None:
    """Read a package URL in any spelling; None for anything else."""
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None


def package_of(purl: str | PackageURL) -> Package | None:
    """The package that a URL names, whatever its version; None where it names none."""
    read = parse_purl(purl) if isinstance(purl, str) else purl
    if read is None:
        return None
    if read.type == "pypi":
        return read.type, read.namespace or "", canonicalize_name(read.name)
    parts = read.namespace or "", read.name
    namespace, name = (part.lower() for part in parts) if read.type in FOLDED else parts
    return read.type, namespace, name


@lru_cache(maxsize=65_536)
def package_named(ecosystem: str, name: str) -> Package | None:
    """The package that an ecosystem calls so, such as npm's ``@acme/ui``; None for an ecosystem not in `TYPES`."""
    kind = TYPES.get(ecosystem)
    namespace, _, last = name.rpartition(":" if kind == "maven" else "/")
    try:
        return package_of(PackageURL(kind, namespace or None, last)) if kind else None
    except ValueError:  # no name
        return None


def is_same(claimed: str, other: str) -> bool:
    """Whether ``claimed``, a package URL, a digest (``sha256:…``) or another identifier, names what ``other`` does.

    Qualifiers that both have must agree. ``claimed`` may be a range of versions; it may not lack them.
    """
    one, two = parse_purl(claimed), parse_purl(other)
    if one is None or two is None:
        plain = _plain(claimed, one)
        return bool(plain) and plain == _plain(other, two)
    if package_of(one) != package_of(two) or one.subpath not in (None, two.subpath):
        return False
    ours, theirs = dict(one.qualifiers or {}), dict(two.qualifiers or {})
    if any(theirs.get(name, value) != value for name, value in ours.items()):
        return False
    if not one.version or not two.version:
        return bool(two.version) and not one.version and is_in_vers(ours.get("vers", ""), one.type, two.version or "")
    if one.type == "pypi" and (version := parse_version(one.version)):
        return version == parse_version(two.version)
    return one.version == two.version


def _plain(text: str, purl: PackageURL | None) -> str:
    """An identifier as it is compared with one that is not a package URL: of an image, its digest."""
    if purl is not None:
        text = str(purl.version) if purl.type in IMAGES else ""
    return text.lower() if text.lower().startswith("sha256:") else "" if text.startswith("pkg:") else text
