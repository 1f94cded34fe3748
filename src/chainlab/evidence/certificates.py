"""Certificates: the signer, as Fulcio writes it into them.

    >>> signer_of(bundle.signing_certificate)                                  # doctest: +SKIP
    ('alice@example.com', 'https://oidc.chainlab.localhost')

The subject alternative name holds the signer's name. Numbered extensions hold the claims of the signer's token, from
number 8 on as DER UTF8String. An extension that cannot be read is ignored. sigstore/fulcio, docs/oid-info.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asn1crypto.core import UTF8String

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["claims_of", "name_of", "signer_of"]

CLAIMS = "1.3.6.1.4.1.57264.1."  # Fulcio's extensions
ISSUER = 8
UNREADABLE = (ValueError, TypeError)  # what cryptography and asn1crypto raise on garbage


def claims_of(certificate: Certificate) -> dict[int, str]:
    """The claims of the signer's token, by the numbers of their extensions."""
    from cryptography.x509 import DuplicateExtension, UnrecognizedExtension, UnsupportedGeneralNameType

    try:
        extensions = list(certificate.extensions)
    except (DuplicateExtension, UnsupportedGeneralNameType, *UNREADABLE):
        return {}
    claims = {}
    for extension in extensions:
        number = extension.oid.dotted_string.removeprefix(CLAIMS)
        if number.isdigit() and int(number) >= ISSUER and isinstance(extension.value, UnrecognizedExtension):
            try:
                claims[int(number)] = str(UTF8String.load(extension.value.value, strict=True).native)
            except UNREADABLE:
                continue
    return claims


def name_of(certificate: Certificate) -> str:
    """The one name in a certificate, an email address or a URI; empty when there is none, or more than one."""
    names = _names(certificate) or []
    return names[0] if len(names) == 1 else ""


def signer_of(certificate: Certificate) -> tuple[str, str]:
    """The one name in a certificate (`name_of`) and the identity's issuer; each empty when missing."""
    if _names(certificate) is None:
        return "", ""
    return name_of(certificate), claims_of(certificate).get(ISSUER, "")


def _names(certificate: Certificate) -> list[str] | None:
    """List the certificate's names, "" for one of another kind; None when they cannot be read."""
    from cryptography import x509

    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, *UNREADABLE):
        return None
    return [name.value if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier) else "" for name in names]
