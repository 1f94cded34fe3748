"""Package URLs, parsed and compared part by part: two spellings of one package are equal.

    >>> is_same("pkg:npm/@acme/ui@1.0.0", "pkg:npm/%40acme/ui@1.0.0")
    True
    >>> package_of("pkg:pypi/Acme_Cells@1.0") == package_named("PyPI", "acme-cells")
    True

A URL without a version does not name a release; it may name a range of them in its qualifier ``vers``. The version of
an image (``pkg:oci``) is its manifest's digest, so the digest alone names it too.

package-url/purl-spec; package-url/vers-spec; names on PyPI are compared as PEP 503 says.
"""

from __future__ import annotations

from functools import lru_cache

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from chainlab.evidence.packages.versions import is_in_vers, parse_version

__all__ = ["PYPI", "TYPES", "Package", "is_same", "package_named", "package_of", "parse_purl"]

PYPI = "PyPI"
TYPES = {  # OSV's name of an ecosystem → the type of its package URLs
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
FOLDED = ("nuget", "githubactions")  # types whose names ignore case; packageurl does not fold them
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
    """The package that a URL names, without its version; None for an invalid URL."""
    parsed = parse_purl(purl) if isinstance(purl, str) else purl
    if parsed is None:
        return None
    if parsed.type == "pypi":
        return parsed.type, parsed.namespace or "", canonicalize_name(parsed.name)
    parts = parsed.namespace or "", parsed.name
    namespace, name = (part.lower() for part in parts) if parsed.type in FOLDED else parts
    return parsed.type, namespace, name


@lru_cache(maxsize=65_536)
def package_named(ecosystem: str, name: str) -> Package | None:
    """The package of a name in an ecosystem, such as npm's ``@acme/ui``; None for an ecosystem not in `TYPES`."""
    kind = TYPES.get(ecosystem)
    namespace, _, last = name.rpartition(":" if kind == "maven" else "/")
    try:
        return package_of(PackageURL(kind, namespace or None, last)) if kind else None
    except ValueError:  # an invalid name
        return None


def is_same(claimed: str, other: str) -> bool:
    """Whether ``claimed`` names what ``other`` names: package URLs, digests (``sha256:…``) or other identifiers.

    Qualifiers that both have must agree. ``claimed`` needs a version, or a range of versions.
    """
    first, second = parse_purl(claimed), parse_purl(other)
    if first is None or second is None:
        plain = _plain_identifier(claimed, first)
        return bool(plain) and plain == _plain_identifier(other, second)
    if package_of(first) != package_of(second) or first.subpath not in (None, second.subpath):
        return False
    ours, theirs = dict(first.qualifiers or {}), dict(second.qualifiers or {})
    if any(theirs.get(name, value) != value for name, value in ours.items()):
        return False
    if not second.version:
        return False
    if not first.version:
        return is_in_vers(ours.get("vers", ""), first.type, second.version)
    if first.type == "pypi" and (version := parse_version(first.version)):
        return version == parse_version(second.version)
    return first.version == second.version


def _plain_identifier(text: str, purl: PackageURL | None) -> str:
    """An identifier in the form for comparison with one that is not a package URL: for an image, its digest."""
    if purl is not None:
        text = str(purl.version) if purl.type in IMAGES else ""
    return text.lower() if text.lower().startswith("sha256:") else "" if text.startswith("pkg:") else text
