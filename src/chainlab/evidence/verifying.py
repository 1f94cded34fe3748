"""Verifying a signed statement, step by step as a consumer of SLSA does, with a verdict that says what failed and why.

    signature       the bundle holds against a root that the verifier trusts, and the signer is the expected one
    subject         the statement is about these bytes
    predicate type  it is of the type that we ask for
    builder         a builder that we accept for this signer, its build type, and a run that succeeded
    source          the repository, ref and commit that we expect
    parameters      the build had only parameters that we know

Steps after the first failure are not made: anybody may have written an unverified statement. Only bytes that the
signature covers are parsed. A step that compares nothing is "not asked", and one that compares the builder alone says
that the build type was not asked. SLSA v1.2, "Verifying artifacts".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from chainlab.characters import join_lines
from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.display import SIGNS, Cell, Display, Fresh, Mark, Shown, brief_type
from chainlab.errors import ChainlabError, VerificationFailed
from chainlab.evidence.certificates import signer_of
from chainlab.evidence.statements import PAYLOAD_TYPE, PROVENANCE, Statement, value_at
from chainlab.names import cut_ref

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import TrustedRoot

__all__ = ["STEPS", "Expectations", "Signer", "Verdict", "VerificationStep", "verify"]

STEPS = ("signature", "subject", "predicate type", "builder", "source", "parameters")
MAX_VALUES = 10_000  # in a bundle's JSON: a real one has some dozens, and most of it is one text
AGAIN = "fetch the evidence again"
RESULT = "chainlab_result"  # how a job ended: an extension field of runDetails.metadata, named as SLSA asks


@dataclass(frozen=True)
class Signer:
    """Who is expected to have signed: the certificate's name and the issuer of the identity.

    With ``refs``, patterns such as ``refs/tags/v*``, the name is a workflow's without its ref.
    """

    identity: str
    issuer: str
    refs: tuple[str, ...] = ()

    def admits(self, identity: str, issuer: str) -> bool:
        """Whether a certificate's name and issuer are the expected ones."""
        if issuer != self.issuer:
            return False
        if not self.refs:
            return identity == self.identity
        workflow, ref = cut_ref(identity)
        return workflow == self.identity and any(fnmatchcase(ref, p) for p in self.refs)

    def __str__(self) -> str:
        return f"{self.identity}{'@' + '|'.join(self.refs) if self.refs else ''} by {self.issuer}"


@dataclass(frozen=True)
class Expectations:
    """What a consumer expects of a signed statement; an empty field is not asked.

    ``parameters`` maps each external parameter that may be there to its accepted value (None: any value); another
    parameter is refused. ``internal`` maps internal parameters to the values that they must have.
    """

    signer: Signer
    predicate_type: str
    builder: str = ""
    build_type: str = ""
    source: str = ""  # as `git+https://…/owner/repo`, without a ref
    refs: tuple[str, ...] = ()  # patterns
    commit: str = ""
    invocation: str = ""
    result: str = ""  # how the job must have ended
    parameters: Mapping[str, Any] | None = None
    internal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VerificationStep:
    """One step of a verification, with its result."""

    name: str  # one of STEPS
    result: str  # passed, failed, not asked or not reached
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """The result of verifying. ``statement``, ``signer`` and ``signed_at`` are there only when the signature held.

    ``signed_at`` comes from a timestamp authority or the log, never from the signer.
    """

    steps: tuple[VerificationStep, ...]
    statement: Statement | None = None
    signer: str = ""
    signed_at: datetime | None = None

    @property
    def passed(self) -> bool:
        """Whether every step passed or was not asked."""
        return all(step.result in ("passed", "not asked") for step in self.steps)

    @property
    def failure(self) -> VerificationStep | None:
        """The step that failed."""
        return next((step for step in self.steps if step.result == "failed"), None)

    def require(self) -> Statement:
        """Return the statement. Raises `VerificationFailed` with step, reason and hint when a step failed."""
        failed = self.failure
        if failed is not None or self.statement is None or not self.passed:
            name = failed.name if failed else "verification"
            raise VerificationFailed(
                f"refused at step '{name}'",
                why=failed.message if failed else "nothing was verified",
                hint=failed.hint if failed else "",
            )
        return self.statement

    def __str__(self) -> str:
        return join_lines(f"{SIGNS[step.result]} {step.name:<15} {step.message}".rstrip() for step in self.steps)

    def _display(self) -> Display:
        """The steps: what each found, and how to fix the one that failed."""
        rows: list[tuple[Cell, ...]] = [(s.name, Mark(s.result), brief_type(s.message), s.hint) for s in self.steps]
        if self.signed_at is not None:
            rows.append(("signed at", "", Fresh(rfc3339(self.signed_at)), ""))
        failed = self.failure
        ended = (
            Mark("failed", f"refused at: {failed.name}") if failed else Mark("passed" if self.passed else "not asked")
        )
        return Display("verification", ("step", "result", "found", "help"), rows, ended)


class _Failed(Exception):
    """A step that failed."""

    def __init__(self, message: str, hint: str = "") -> None:
        # Quotes what others wrote: none of their characters may begin a line, or move the cursor.
        plain = "".join(c if c.isprintable() else " " for c in message)
        super().__init__(plain)
        self.message, self.hint = plain, hint


def verify(bundle: bytes, digest: Digest, expected: Expectations, root: TrustedRoot) -> Verdict:
    """Verify a bundle about the bytes of ``digest``; never raises for what is wrong with the bundle."""
    steps: list[VerificationStep] = []
    statement: Statement | None = None
    signed_at: datetime | None = None
    identity = ""
    try:
        statement, identity, signed_at = _signature(bundle, expected.signer, root)
        steps.append(VerificationStep("signature", "passed", f"by {identity}"))
        steps.append(VerificationStep("subject", "passed", _subject(statement, digest)))
        for name, check in zip(STEPS[2:], (_predicate_type, _builder, _source, _parameters), strict=True):
            message = check(statement, expected)
            steps.append(VerificationStep(name, "not asked" if message is None else "passed", message or ""))
    except _Failed as failed:
        steps.append(VerificationStep(STEPS[len(steps)], "failed", failed.message, failed.hint))
    steps += [VerificationStep(name, "not reached") for name in STEPS[len(steps) :]]
    return Verdict(tuple(steps), statement, identity, signed_at)


class _AnyName:
    """A Sigstore verification policy that accepts any identity; `_signature` compares it afterwards."""

    def verify(self, cert: Certificate) -> None:
        """Accept."""


def _signature(bundle: bytes, signer: Signer, root: TrustedRoot) -> tuple[Statement, str, datetime]:
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import Verifier

    if (
        sum(map(bundle.count, (b",", b"{", b"["))) > MAX_VALUES
    ):  # checked before a parser takes a hundred bytes for each
        raise _Failed(f"not a Sigstore bundle: it has more than {MAX_VALUES} values", AGAIN)
    try:
        parsed = Bundle.from_json(bundle)
    except Exception as error:  # its parsers raise errors of several families
        why = " ".join(str(error).partition(" [type=")[0].split())  # without pydantic's own words
        raise _Failed(f"not a Sigstore bundle: {why[:200]}", AGAIN) from error
    try:
        verifier = Verifier(trusted_root=root)
        kind, payload = verifier.verify_dsse(parsed, _AnyName())
        # The public method only says that the times are within the certificate's, not which times they are.
        signed_at = min(verified.time for verified in verifier._establish_time(parsed))
    except Error as error:
        raise _Failed(
            f"the bundle does not hold: {str(error)[:300]}",
            "compare root and bundle: who made it, and was it changed since?",
        ) from error
    except Exception as error:  # a hostile bundle broke a parser: refused all the same
        raise _Failed(f"the bundle cannot be verified: {type(error).__name__}") from error
    identity, issuer = signer_of(parsed.signing_certificate)
    if not signer.admits(identity, issuer):
        raise _Failed(
            f"signed by {identity or 'nobody'} (issuer {issuer or 'none'}), expected {signer}",
            "the signature is valid, and by somebody else: ask for one by the expected signer",
        )
    if kind != PAYLOAD_TYPE:
        raise _Failed(f"the payload is {kind[:80]!r}, expected {PAYLOAD_TYPE!r}")
    try:
        return Statement.load(payload), identity, signed_at
    except ChainlabError as error:
        raise _Failed(f"the signed statement cannot be read: {error.message}") from error


def _subject(statement: Statement, digest: Digest) -> str:
    if not statement.is_about(digest):
        subjects = ", ".join(f"{n} {d.get('sha256', '?')[:12]}…" for n, d in statement.subjects[:3])
        raise _Failed(
            f"the statement is about {subjects}, and these bytes are {digest.value.hex()[:12]}…",
            "the bytes changed after they were attested, or the evidence is another artifact's",
        )
    return f"about {digest.value.hex()[:12]}…"


def _predicate_type(statement: Statement, expected: Expectations) -> str | None:
    if statement.predicate_type != expected.predicate_type:
        raise _Failed(
            f"it says {statement.predicate_type}, expected {expected.predicate_type}",
            "ask for the attestation of the expected type",
        )
    return statement.predicate_type


def _builder(statement: Statement, expected: Expectations) -> str | None:
    if not (expected.builder or expected.build_type or expected.result):
        return None
    if statement.predicate_type != PROVENANCE:
        raise _Failed(f"{statement.predicate_type} names no builder")
    builder = value_at(statement.predicate, "runDetails", "builder", "id")
    if expected.builder and builder != expected.builder:
        raise _Failed(
            f"built by {_short(builder)}, expected {expected.builder}",
            "accept only builders that you know: a builder's id decides how far its provenance can be trusted",
        )
    kind = value_at(statement.predicate, "buildDefinition", "buildType")
    if expected.build_type and kind != expected.build_type:
        raise _Failed(f"the build type is {_short(kind)}, expected {expected.build_type}")
    ended = value_at(statement.predicate, "runDetails", "metadata", RESULT)
    if expected.result and ended != expected.result:
        raise _Failed(
            f"the job ended with {_short(ended)}, expected {expected.result}",
            "it failed after it stored the file: look at the job's log",
        )
    return _with_unasked(str(builder), builder=expected.builder, build_type=expected.build_type)


def _source(statement: Statement, expected: Expectations) -> str | None:
    if not (expected.source or expected.refs or expected.commit or expected.invocation):
        return None
    if statement.predicate_type != PROVENANCE:
        raise _Failed(f"{statement.predicate_type} names no source")
    dependencies = value_at(statement.predicate, "buildDefinition", "resolvedDependencies")
    first = dependencies[0] if isinstance(dependencies, list) and dependencies else None
    uri, commit = value_at(first, "uri"), value_at(first, "digest", "gitCommit")
    where, ref = cut_ref(str(uri))
    if expected.source and where != expected.source:
        raise _Failed(
            f"built from {_short(uri)}, expected {expected.source}",
            "a fork has the same files and another owner",
        )
    if expected.refs and not any(fnmatchcase(ref, pattern) for pattern in expected.refs):
        raise _Failed(f"built from {_short(ref)}, expected {' or '.join(expected.refs)}")
    if expected.commit and commit != expected.commit:
        raise _Failed(f"built from commit {_short(commit)}, expected {expected.commit}")
    run = value_at(statement.predicate, "runDetails", "metadata", "invocationId")
    if expected.invocation and run != expected.invocation:
        raise _Failed(f"built by {_short(run)}, expected {expected.invocation}")
    return _with_unasked(str(uri), source=expected.source, ref=expected.refs)


def _parameters(statement: Statement, expected: Expectations) -> str | None:
    if expected.parameters is None and not expected.internal:
        return None
    definition = value_at(statement.predicate, "buildDefinition")
    if expected.parameters is not None:
        parameters = value_at(definition, "externalParameters")
        if not isinstance(parameters, dict):
            raise _Failed("there are no external parameters")
        for name, value in sorted(parameters.items()):
            if name not in expected.parameters:
                raise _Failed(
                    f"the build had a parameter that we do not know: {name!r}",
                    "find out what it does: a parameter may change what is built",
                )
            accepted = expected.parameters[name]
            if accepted is not None and value != accepted:
                raise _Failed(f"{name} is {_short(value)}, expected {_short(accepted)}")
        for name in sorted(set(expected.parameters) - set(parameters)):
            if expected.parameters[name] is not None:
                raise _Failed(f"the parameter {name!r} is missing")
    for name, value in sorted(expected.internal.items()):
        actual = value_at(definition, "internalParameters", name)
        if actual != value:
            raise _Failed(f"{name} is {_short(actual)}, expected {_short(value)}")
    return "as expected"


def _with_unasked(value: str, **expected: object) -> str:
    """A step's value, and which of its parts were not asked."""
    unasked = [name.replace("_", " ") for name, expectation in expected.items() if not expectation]
    return "; ".join([value, *(f"{name} not asked" for name in unasked)])


def _short(value: Any) -> str:
    return str(value)[:200]
