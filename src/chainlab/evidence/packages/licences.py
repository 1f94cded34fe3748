"""Licences of packages: an SPDX expression where the metadata name one, else their own words.

Nothing is guessed: "BSD" may be one of several licences, so it stays a name.

    >>> read_licence("", "Apache 2.0", [])
    ('Apache-2.0', '')
    >>> read_licence("", "BSD", ["License :: OSI Approved :: BSD License"])
    (None, 'BSD')

PEP 639; SPDX 2.3 annex D. The identifiers are those of the bundled CycloneDX schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from chainlab.evidence.bundled_schemas import bundled_schema

__all__ = ["read_licence", "spdx_expression", "spdx_identifiers"]

# Names that mean exactly one licence.
NAMES = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license v2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "isc license": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "lgplv3+": "LGPL-3.0-or-later",
    "gplv3+": "GPL-3.0-or-later",
    "gplv3": "GPL-3.0-only",
}
# Trove classifiers that mean one licence; "BSD License" and "Apache Software License" do not.
CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Universal Permissive License (UPL)": "UPL-1.0",
}
NOTHING = {"", "unknown", "none", "noassertion", "license", "proprietary license file"}
SIMPLE = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*\Z")
MAX_NAME = 120  # characters: metadata may hold a licence's whole text


def read_licence(declared: str, text: str, classifiers: Sequence[str]) -> tuple[str | None, str]:
    """Return the SPDX expression of a licence, or None and its name.

    They come from the fields ``License-Expression`` (``declared``) and ``License`` (``text``) and from the
    classifiers, in this order.
    """
    if declared:
        expression = spdx_expression(declared)
        return (expression, "") if expression else (None, declared[:MAX_NAME])
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    short = lines[0] if len(lines) == 1 else ""
    if short.lower() not in NOTHING:
        expression = NAMES.get(short.lower()) or spdx_expression(short)
        if expression:
            return expression, ""
    names = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    identified = {CLASSIFIERS[name] for name in names if name in CLASSIFIERS}
    if len(identified) == 1 and len(names) == 1:
        return identified.pop(), ""
    first = next((line for line in lines if re.search(r"\w", line)), "")
    if first.lower() not in NOTHING:
        return None, first[:MAX_NAME]
    return None, ", ".join(names)[:MAX_NAME]


@cache
def spdx_expression(text: str) -> str | None:
    """Return ``text`` as an SPDX expression, with identifiers as SPDX writes them; None for any other text."""
    text = text.strip()
    if not text or len(text) > 1000:
        return None
    if SIMPLE.match(text) and all(w in spdx_identifiers() for w in text.split(" ")[::2]):
        return text  # it is in SPDX form already, and the parser below takes 0.3 s to start
    if not re.search(r"[A-Za-z0-9]-|\b(AND|OR|WITH)\b|^[\w.+-]+$", text):
        return None  # prose
    from license_expression import ExpressionError  # type: ignore[import-untyped]
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        if "licenseref-" in text.lower():  # a licence of the project's own, which is on no list
            return str(canonicalize_license_expression(text))
        parsed = _licensing().parse(text, validate=True, strict=True)
    except (ExpressionError, InvalidLicenseExpression, AttributeError, TypeError, ValueError):
        return None
    return str(parsed.render()) if parsed is not None else None


@cache
def spdx_identifiers() -> frozenset[str]:
    """The identifiers that CycloneDX accepts as ``license.id``."""
    return frozenset(bundled_schema("spdx.SNAPSHOT.schema.json")["enum"])


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
