"""Cases for exercise 4.7: a CA key was stolen; which trusted root keeps the good and refuses the forged?

`fixtures.rotation_story` plays the theft; sigstore's unmodified `Verifier` then uses the root that the answer made.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.rotation_story import ALICE, ARTIFACT, Story
from chainlab.trust.issuer import ISSUER

__all__ = ["cases"]

SEE = "labs/04_attestation.ipynb, 'The key that signs certificates is stolen'"
TEACHES = {
    "signed before the theft": (
        "This was signed while one hand had the key, and a timestamp proves when. Whoever deletes the old "
        "authority throws away every release so far, and a customer who cannot verify learns to skip verifying."
    ),
    "signed after the rotation": "The new authority has to be in the root, with its own chain.",
    "forged after the rotation": (
        "The thief has the key and the log and the timestamp authority serve anybody. Only the end of the old "
        "authority's certificate refuses this. (`validFor` alone does not: this client checks the certificates.)"
    ),
    "forged, with a certificate dated back": (
        "Whoever has the CA's key writes any date into a certificate. The timestamp is somebody else's word, and "
        "says when the signature was there."
    ),
    "forged between theft and discovery": (
        "The old authority's word ends when the key was in two hands, not when somebody noticed."
    ),
    "what people and other clients read": (
        "`validFor.end` of the stolen key's entry is the hour of the theft: this client does not ask for it, others "
        "and every person who reads the root do. A root in which certificate and field disagree is read in two ways. "
        "The other entries keep what they say."
    ),
    "signed long ago": ("An earlier generation, retired on time, is still in the root. What it certified stays good."),
    "forged with a key from the drawer": (
        "The earlier generation has an end of its own, before the theft. A rotation that writes a new end into "
        "every entry opens it again."
    ),
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Play one story, and try each of its bundles under the root that the answer makes."""
    story = Story.play(lab.path / "rotation", rng)

    args = (story.root, story.successor, story.stolen, story.noticed, story.recertify)

    def case(name: str, bundle: str, good: bool) -> Case:
        return Case(name, args, accept=_client_verdict(story, bundle, good))

    yield case("signed before the theft", "before the theft", True)
    yield case("signed after the rotation", "after the rotation", True)
    yield case("forged after the rotation", "forged afterwards", False)
    yield case("forged, with a certificate dated back", "dated back", False)
    yield case("forged between theft and discovery", "between", False)
    yield case("signed long ago", "long ago", True)
    yield case("forged with a key from the drawer", "from the drawer", False)
    yield Case("what people and other clients read", args, accept=_stolen_entry_ended(story))


def _read_error(error: Exception) -> str:
    """Say where a root is wrong: ``certificateAuthorities.1.certChain.certificates.0: Input should be an object``."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error).splitlines()[0][:120]


def _stolen_entry_ended(story: Story) -> Callable[[Any], bool | Miss]:
    """Accept a root in which the stolen entry's field ends at the theft, and the other entries are as they were."""

    def accept(answer: Any) -> bool | Miss:
        *earlier, old = story.root["certificateAuthorities"]
        entries = answer["certificateAuthorities"]
        own = [entry for entry in entries if _key(entry) == _key(old)]
        if len(own) != 1:
            return Miss(f"expected one entry for the stolen key, found {len(own)}")
        end = own[0]["validFor"].get("end")
        if end is None:
            return Miss("validFor of the stolen key's entry has no end")
        if datetime.fromisoformat(end) != datetime.fromisoformat(story.stolen):
            return Miss(f"validFor of the stolen key's entry ends {end}, expected {story.stolen}")
        if own[0]["certChain"]["certificates"][1:] != old["certChain"]["certificates"][1:]:
            return Miss("the stolen key's entry has lost the root certificate of its chain")
        if any(entry not in entries for entry in [*earlier, story.successor]):
            return Miss("an earlier generation's entry or the successor's is not as it was")
        kept = {key: value for key, value in story.root.items() if key != "certificateAuthorities"}
        changed = [key for key, value in kept.items() if answer.get(key) != value]
        return Miss(f"{changed[0]} is not as it was") if changed else True

    return accept


def _key(entry: dict[str, Any]) -> bytes:
    """The signing key of an authority's entry."""
    raw = base64.b64decode(entry["certChain"]["certificates"][0]["rawBytes"])
    key = x509.load_der_x509_certificate(raw).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _client_verdict(story: Story, bundle: str, good: bool) -> Callable[[Any], bool | Miss]:
    """Accept a trusted root under which a good bundle verifies, or a forgery is refused.

    A root that verifies nothing refuses every forgery, so a refusal counts only beside a good bundle that verifies.
    """

    def accept(answer: Any) -> bool | Miss:
        from sigstore.errors import Error
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Document

        try:
            root = TrustedRoot(Document.from_json(json.dumps(answer)))
            verifier = Verifier(trusted_root=root)
        except (Error, ValueError, TypeError, KeyError) as error:
            return Miss(f"no client reads this root: {_read_error(error)}")
        refusal = _refused(verifier, story.bundles[bundle])
        if good:
            return Miss(f"the client refuses a good bundle: {refusal}") if refusal else True
        if not refusal:
            return Miss("the client accepts a forgery")
        old = _refused(verifier, story.bundles["before the theft"])
        return Miss(f"the client refuses the forgery, and what was signed before the theft too: {old}") if old else True

    return accept


def _refused(verifier: Any, bundle: str) -> str:
    """Say why the client refuses a bundle of alice's; empty when it does not."""
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import policy

    try:
        verifier.verify_artifact(ARTIFACT, Bundle.from_json(bundle), policy.Identity(identity=ALICE, issuer=ISSUER))
    except Error as error:
        return str(error).splitlines()[0][:120]
    return ""
