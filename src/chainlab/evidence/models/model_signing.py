"""Model signatures by OpenSSF Model Signing (OMS) v1.0, made and verified by the model-signing library itself.

A signature is a Sigstore bundle with a statement that lists every file of a folder with its digest. A file that it does
not list is refused as a changed one is: a loader may read it.

    >>> bundle = sign(folder, config, token)                                   # doctest: +SKIP
    >>> print(verify(folder, bundle, Signer("alice@example.com", ISSUER), config))     # doctest: +SKIP
    ✓ signature       by alice@example.com
    ✓ subject         2 files, no other
    ✓ predicate type  https://model_signing/signature/v1.0

A single file is signed as a folder that holds only this file, under its own name. A signature says who signed, and that
nothing changed; it does not say that the weights are harmless. OMS v1.0, ossf/model-signing-spec.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.evidence import verifying
from chainlab.evidence.signing import refusal
from chainlab.evidence.statements import MODEL_SIGNATURE, Statement
from chainlab.evidence.verifying import Expectations, Signer, Verdict, VerificationStep

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = ["sign", "verify"]

AGAIN = "fetch the model again by its digest, or have its owner sign what is there now"


def sign(model: Path, config: ClientTrustConfig, token: str) -> bytes:
    """Sign a folder or file; returns a Sigstore bundle as JSON.

    ``token`` names the signer, as in `signing.sign`. Raises `MalformedInput` for a model with links or without files,
    `ChainlabError` with the reason when a service refuses.
    """
    from sigstore.errors import Error

    with _folder(model) as folder, _trust_file(config) as trust, _quiet():
        from model_signing import signing

        signature = trust.with_name("model.sig")
        try:
            signing.Config().set_hashing_config(_hashing()).use_sigstore_signer(  # type: ignore[no-untyped-call]
                identity_token=token, trust_config=trust
            ).sign(folder, signature)
        except Error as error:
            raise refusal("the model", error) from error
        return signature.read_bytes()


def verify(model: Path, bundle: bytes, signer: Signer, config: ClientTrustConfig) -> Verdict:
    """Verify a folder or file; never raises for what is wrong with model or bundle.

    Steps as in `verifying.verify`; the subject is every file of the model, and no other. The signed predicate, in
    ``statement``, lists them.
    """
    expected = Expectations(signer, MODEL_SIGNATURE)
    no_model = Digest.of(b"")  # the library compares file by file below
    verdict = verifying.verify(bundle, no_model, expected, config.trusted_root)
    if verdict.statement is None:
        return verdict
    kind = verdict.statement.predicate_type
    if kind != MODEL_SIGNATURE:
        message = f"{kind} lists no model's files"
        return _with(verdict, VerificationStep("subject", "failed", message, "ask for the model's signature"))
    try:
        with _folder(model) as folder:
            fault = _compare(folder, bundle, verdict.statement, verdict.signer, signer.issuer, config)
    except (ChainlabError, OSError) as error:
        fault = error.message if isinstance(error, ChainlabError) else str(error)
    if fault:
        return _with(verdict, VerificationStep("subject", "failed", fault, AGAIN))
    count = len(_listed(verdict.statement))
    passed = VerificationStep("subject", "passed", f"{count} file{'s' * (count != 1)}, no other")
    return _with(verdict, passed, VerificationStep("predicate type", "passed", kind))


def _compare(
    folder: Path,
    bundle: bytes,
    statement: Statement,
    identity: str,
    issuer: str,
    config: ClientTrustConfig,
) -> str:
    """Compare the files with the signature; returns what is wrong, empty when they are as signed."""
    with _trust_file(config) as trust, _quiet():
        from model_signing import verifying as library

        signature = trust.with_name("model.sig")
        signature.write_bytes(bundle)
        try:
            library.Config().use_sigstore_verifier(  # type: ignore[no-untyped-call]
                identity=identity, oidc_issuer=issuer, trust_config=trust
            ).verify(folder, signature)
        except Exception as error:  # of any kind: a hostile bundle or folder broke the library
            return _difference(folder, statement) or f"model-signing refuses it: {error}"
    return _difference(folder, statement, changed=False)


def _difference(folder: Path, statement: Statement, *, changed: bool = True) -> str:
    """Tell which files are missing, extra or changed.

    The library skips paths that a signature tells it to ignore, and git's own; here every file counts.
    """
    listed = _listed(statement)
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    differences = [
        f"{word}: {', '.join(sorted(names)[:5])}"
        for word, names in (
            ("not signed", present.keys() - listed.keys()),
            ("missing", listed.keys() - present.keys()),
        )
        if names
    ]
    if changed:
        other = [
            name
            for name in sorted(present.keys() & listed.keys())
            if listed[name] and Digest.of_file(present[name]).value.hex() != listed[name]
        ]
        differences += [f"changed: {', '.join(other[:5])}"] if other else []
    return "; ".join(differences)


def _listed(statement: Statement) -> dict[str, str]:
    """The files that a signature lists, each with its SHA-256 in hex; empty when the digest is another one.

    A signature by shards lists parts of files: model-signing 1.1.1 cannot verify these, and neither do we.
    """
    predicate: Any = statement.predicate
    resources = predicate.get("resources") if isinstance(predicate, dict) else None
    files: dict[str, str] = {}
    for resource in resources if isinstance(resources, list) else []:
        if isinstance(resource, dict):
            whole = resource.get("algorithm") == "sha256"
            files[str(resource.get("name", ""))] = str(resource.get("digest", "")) if whole else ""
    return files


def _with(verdict: Verdict, *later: VerificationStep) -> Verdict:
    """The verdict on the signature, with the steps that followed it."""
    completed = (verdict.steps[0], *later)
    failed = completed[-1].result == "failed"
    rest = "not reached" if failed else "not asked"
    steps = (*completed, *(VerificationStep(name, rest) for name in verifying.STEPS[len(completed) :]))
    return replace(verdict, steps=steps)


def _hashing() -> Any:
    from model_signing import hashing

    config: Any = hashing.Config()  # type: ignore[no-untyped-call]
    return config.set_ignored_paths(paths=[], ignore_git_paths=False)


def _files(folder: Path) -> list[Path]:
    """List every file, in order.

    Raises `MalformedInput` for a link, whose target no signature covers, for no file, and for an unreadable folder.
    """

    def stop(error: OSError) -> None:
        raise MalformedInput(f"{error.filename} cannot be listed: {error.strerror}") from error

    files = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        for name in sorted((*folders, *names)):
            path = Path(parent, name)
            where = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise MalformedInput(
                    f"{where} is a link, and a signature does not cover its target",
                    hint="put the file itself into the model's folder",
                )
            if name in names:
                if not path.is_file():
                    raise MalformedInput(f"{where} is not a regular file")
                files.append(path)
    if not files:
        raise MalformedInput("the model has no file", hint="name its folder or its file")
    return sorted(files)


@contextmanager
def _folder(model: Path) -> Iterator[Path]:
    """The model's folder: its own, or one that holds its single file."""
    if model.is_symlink() or not model.exists():
        raise MalformedInput(f"there is no model at {model.name}", hint="name a folder or a file")
    if model.is_dir():
        _files(model)
        yield model.absolute()
        return
    with TemporaryDirectory(prefix="model-") as name:
        folder = Path(name, model.stem or "model")
        folder.mkdir()
        shutil.copyfile(model, folder / model.name)
        yield folder


@contextmanager
def _trust_file(config: ClientTrustConfig) -> Iterator[Path]:
    """The trust configuration in a file: the library accepts no other form."""
    with TemporaryDirectory(prefix="trust-") as name:
        path = Path(name, "trust_config.json")
        path.write_text(config._inner.to_json(), encoding="utf-8")
        yield path


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the deprecation warnings of the libraries that model-signing imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
