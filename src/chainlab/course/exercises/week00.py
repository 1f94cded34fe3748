"""Cases for the on-ramp: one exercise per primer.

Each generator builds its cases so that the truth is known from how they were made: the commit that
was just created, the person whose key signed, the fault that was put into a token. Names, keys and
numbers come from the random source; the names of the cases do not.

    >>> import random
    >>> [case.name for case in subtrees(None, random.Random("0.4/visible"))][:3]
    ['one entry', 'four entries', 'three entries']
"""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chainlab.course.learning.checks import Case, World
from chainlab.trust.merkle import MerkleTree, leaf_hash

__all__ = ["CASES"]

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-5
PEOPLE = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
SCOPES = ["actions", "checks", "contents", "deployments", "id-token", "issues", "packages", "pages"]


# 0.1 which commit does a ref name? ------------------------------------------------------------


def refs(lab: World, rng: random.Random) -> Iterator[Case]:
    """A real repository with every kind of ref; the truth is the id that `git commit` gave."""
    repository = lab.path / "exercise-0.1" / f"{rng.getrandbits(32):08x}"
    major, feature = rng.randrange(2, 9), rng.choice(["faster", "retry", "cache", "matrix"])
    git = _Repository(repository, rng)
    first = git.commit("first release")
    git.run("tag", f"v{major}.0")
    git.run("tag", "-a", "-m", "signed off", f"v{major}.1", first)
    second = git.commit("second release")
    git.run("tag", "-a", "-m", "release", f"v{major}.2")
    git.run("tag", "-a", "-m", "moving", f"v{major}", f"refs/tags/v{major}.2")
    third = git.commit("not released")
    git.run("branch", feature, second)
    unknown = f"{rng.getrandbits(160):040x}"
    see = "notebooks/00a_git.ipynb, 'A tag that is an object of its own'"
    branch = "notebooks/00a_git.ipynb, 'A branch moves, and is meant to'"
    last = "notebooks/00a_git.ipynb, 'A last look: digits that nobody made'"
    yield Case(
        "a full commit id",
        (repository, first),
        first,
        "40 hex digits name the commit itself.",
        "notebooks/00a_git.ipynb, 'A commit is named by its content'",
    )
    yield Case(
        "a branch",
        (repository, "main"),
        third,
        "A branch names the newest commit on it, today.",
        branch,
    )
    yield Case(
        "another branch",
        (repository, feature),
        second,
        "This branch stops at an older commit than main.",
        branch,
    )
    yield Case(
        "a lightweight tag",
        (repository, f"v{major}.0"),
        first,
        "A lightweight tag is a name for a commit, nothing more.",
        "notebooks/00a_git.ipynb, 'A lightweight tag is 41 bytes in a file'",
    )
    yield Case(
        "an annotated tag",
        (repository, f"v{major}.1"),
        first,
        "An annotated tag is an object with an id of its own. That id is not a commit: a "
        "workflow pinned to it names no commit at all. Peel the tag.",
        see,
    )
    yield Case(
        "a tag on a tag",
        (repository, f"v{major}"),
        second,
        "A tag may point at a tag. Peel until a commit is left; `^{commit}` does that.",
        see,
    )
    yield Case(
        "a name nobody made",
        (repository, f"v{major}.9"),
        None,
        "No such ref: the answer is None, not an empty text and not an exception.",
        last,
    )
    yield Case(
        "40 digits nobody made",
        (repository, unknown),
        None,
        "`git rev-parse` repeats any 40 hex digits without looking. Ask for a commit.",
        last,
    )


class _Repository:
    """A throwaway repository that ignores the user's and the machine's git settings."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        self.path, self.rng = path, rng
        self.clock = 1_700_000_000 + rng.randrange(10**6)  # seconds since 1970
        self.run("init", "--quiet", "--initial-branch=main")

    def run(self, *words: str) -> str:
        stamp, mail = f"{self.clock} +0000", "maintainer@example.com"
        settings = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "maintainer",
            "GIT_AUTHOR_EMAIL": mail,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": "maintainer",
            "GIT_COMMITTER_EMAIL": mail,
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Make a commit; returns its id."""
        self.clock += self.rng.randrange(60, 86_400)
        self.run("commit", "--quiet", "--allow-empty", "-m", message)
        return self.run("rev-parse", "HEAD")


# 0.2 who signed this, if anybody? -------------------------------------------------------------


def signers(lab: World, rng: random.Random) -> Iterator[Case]:
    """Artifact, signature, certificate and authority; the truth is whose key signed."""
    one, other = (f"{name}@example.com" for name in rng.sample(PEOPLE, 2))
    name = f"teaching CA {rng.randrange(100, 1000)}"
    authority, impostor = _Authority(name, rng), _Authority(name, rng)
    root = authority.certificate
    artifact = rng.randbytes(rng.randrange(40, 90))
    flipped = bytes([artifact[0] ^ 1]) + artifact[1:]
    key, vouched = authority.issue(one, rng)
    other_key, other_vouched = authority.issue(other, rng)
    fake_key, fake = impostor.issue(one, rng)
    see = "notebooks/00b_keys.ipynb, 'Three questions, three checks'"
    yield Case(
        "an honest signature",
        (artifact, _sign(key, artifact), vouched, root),
        one,
        "Both checks hold: the key in the certificate signed these bytes, and the authority signed the certificate.",
        see,
    )
    yield Case(
        "another honest signature",
        (artifact, _sign(other_key, artifact), other_vouched, root),
        other,
        "The name comes from the certificate, not from a list.",
        see,
    )
    yield Case(
        "one bit changed",
        (flipped, _sign(key, artifact), vouched, root),
        None,
        "These are not the bytes that were signed.",
        see,
    )
    yield Case(
        "another person's certificate",
        (artifact, _sign(key, artifact), other_vouched, root),
        None,
        "The certificate is genuine, and its key did not make this signature.",
        see,
    )
    yield Case(
        "a look-alike certificate",
        (artifact, _sign(fake_key, artifact), fake, root),
        None,
        "The signature fits the certificate, and the certificate says the right name and "
        "the right issuer. The authority never signed it: names inside a certificate are "
        "claims until its signature is checked.",
        "notebooks/00b_keys.ipynb, 'A forged look-alike'",
    )


class _Authority:
    """A certificate authority with one root."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = _key(rng)
        self.certificate = self._certificate(self.name, self.key, None, rng)

    def issue(self, identity: str, rng: random.Random) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """A new key and a certificate that binds it to ``identity``."""
        key = _key(rng)
        return key, self._certificate(x509.Name([]), key, identity, rng)

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        identity: str | None,
        rng: random.Random,
    ) -> bytes:
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        is_authority = x509.BasicConstraints(ca=identity is None, path_length=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(rng.getrandbits(100) + 1)
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=3650))
            .add_extension(is_authority, critical=True)
        )
        if identity is not None:
            name = x509.SubjectAlternativeName([x509.RFC822Name(identity)])
            builder = builder.add_extension(name, critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def _key(rng: random.Random) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(rng.randrange(1, P256_ORDER), ec.SECP256R1())


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


# 0.3 accept the token, or say why not ---------------------------------------------------------


def tokens(lab: World, rng: random.Random) -> Iterator[Case]:
    """Tokens with at most one fault put in; the truth is the fault."""
    audience, now = rng.choice(["sigstore", "registry", "deploy"]), rng.randrange(10**9, 2 * 10**9)
    issuer = f"https://issuer-{rng.randrange(10, 100)}.example"
    key, stranger = _key(rng), _key(rng)
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    good: dict[str, Any] = {
        "iss": issuer,
        "sub": f"{rng.choice(PEOPLE)}@example.com",
        "aud": audience,
        "iat": now - 60,
        "exp": now + rng.randrange(60, 600),
    }
    see = "notebooks/00c_tokens.ipynb, 'Four questions before a token means anything'"

    def case(name: str, truth: str, teaches: str, by: Any = key, **changed: Any) -> Case:
        algorithm = "ES256" if by is not None else "none"
        token = jwt.encode({**good, **changed}, by, algorithm=algorithm)
        return Case(name, (token, public, issuer, audience, now), truth, teaches, see)

    yield case(
        "a good token",
        "accept",
        "Nothing is wrong with this one at `now`, which need not "
        "be your machine's time. A verdict that refuses everything protects nobody.",
    )
    yield case(
        "audience in a list",
        "accept",
        "RFC 7519 allows `aud` to be a list; ours is in it.",
        aud=["storage", audience],
    )
    yield case(
        "for somebody else",
        "audience",
        "The token was made for another service. Whoever runs that service could replay it here.",
        aud="payments",
    )
    yield case(
        "an audience that contains ours",
        "audience",
        "`x in text` looks for a part of a text. `aud` is either one name or a list of names: compare whole names.",
        aud=f"not-{audience}",
    )
    yield case(
        "an issuer that begins like ours",
        "issuer",
        "A prefix is not the issuer: anybody can register the rest of that host name.",
        iss=f"{issuer}.attacker.example",
    )
    yield case("expired", "expired", "`exp` has passed.", exp=now - rng.randrange(60, 600))
    yield case(
        "expires this second",
        "expired",
        "`exp` is the first second at which the token is no longer good (RFC 7519 §4.1.4).",
        exp=now,
    )
    yield case(
        "signed by a stranger",
        "signature",
        "The claims are perfect and the signature is not the issuer's.",
        by=stranger,
    )
    yield case(
        "not signed at all",
        "signature",
        "`alg: none` is the sender's wish. The verifier names the algorithm.",
        by=None,
    )
    yield case(
        "a stranger's, for somebody else",
        "signature",
        "Two faults. Until the signature holds, no claim means anything: that is the reason.",
        by=stranger,
        aud="payments",
    )


# 0.4 one root from uneven subtrees ------------------------------------------------------------


def subtrees(lab: World | None, rng: random.Random) -> Iterator[Case]:
    """Complete subtrees of a log, left to right; the truth is that log's own root."""
    see = "notebooks/00d_merkle.ipynb, 'Odd sizes'"
    tell = {
        "one entry": "One subtree is the whole tree: nothing is left to hash.",
        "four entries": "Four is a power of two: one subtree, and it is the tree.",
        "three entries": "The odd one is not paired with a copy of itself: it waits, and joins at "
        "the top. Trees that copy it give two different lists the same root.",
        "six entries": "Four and two: they differ in size and still meet in one node.",
        "seven entries": "Four, two, one: the small ones meet first, from the right.",
        "a larger log": "However many there are, begin at the right-hand end.",
    }
    sizes = {
        "one entry": 1,
        "four entries": 4,
        "three entries": 3,
        "six entries": 6,
        "seven entries": 7,
        "a larger log": rng.choice([11, 13, 21, 22, 27, 29, 43, 53, 91]),
    }
    for name, size in sizes.items():
        tree = MerkleTree()
        for _ in range(size):
            tree.append(leaf_hash(rng.randbytes(12)))
        parts, start = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                at = start >> level
                parts.append((1 << level, tree.hashes(level, at, at + 1).hex()))
                start += 1 << level
        yield Case(name, (parts,), tree.root().hex(), tell[name], see)


# 0.5 what may this job do? --------------------------------------------------------------------


def permissions(lab: World, rng: random.Random) -> Iterator[Case]:
    """Workflow files with `permissions:` in different places; the truth is chosen first."""
    a, b, c = rng.sample(SCOPES, 3)
    default = {"contents": "read", "packages": "read"}
    see = "notebooks/00e_workflows.ipynb, 'The token's permissions: one block wins'"

    def case(name: str, truth: dict[str, str], teaches: str, *, top: Any = None, own: Any = None) -> Case:
        steps = [{"run": "make"}]
        job: dict[str, Any] = {"runs-on": "ubuntu-latest"}
        job |= {"permissions": own} if own is not None else {}
        workflow: dict[str, Any] = {"name": "build", "on": {"push": {"branches": ["main"]}}}
        workflow |= {"permissions": top} if top is not None else {}
        chosen = rng.choice(["build", "test", "publish"])
        workflow["jobs"] = {
            "lint": {"runs-on": "ubuntu-latest", "permissions": {b: "write"}, "steps": steps},
            chosen: {**job, "steps": steps},
        }
        text = yaml.safe_dump(workflow, sort_keys=False)
        return Case(name, (text, chosen, dict(default)), truth, teaches, see)

    yield case(
        "nobody says anything",
        default,
        "No block at all: the repository's default holds. The file alone does not tell you what it is.",
    )
    yield case(
        "the workflow says",
        {a: "write"},
        "A block names everything that is granted; what it does not name is none, and the default is gone.",
        top={a: "write"},
    )
    yield case(
        "the job says otherwise",
        {c: "write"},
        "The job's block replaces the workflow's; the two are not merged.",
        top={a: "read"},
        own={c: "write"},
    )
    yield case(
        "the job asks for nothing",
        {},
        "`permissions: {}` is a block, and it grants nothing. An empty block is not an absent one.",
        top={a: "write"},
        own={},
    )
    yield case(
        "the workflow grants nothing",
        {},
        "`permissions: {}` at the top holds for every job without a block of its own.",
        top={},
    )
    yield case(
        "none, written out",
        {b: "read"},
        "`none` grants nothing: leave it out of the answer.",
        own={a: "none", b: "read"},
    )


# 0.6 three kinds of answer --------------------------------------------------------------------


def uploads(lab: World, rng: random.Random) -> Iterator[Case]:
    """Events with a known number of each kind; some carry no `workflow` field at all."""
    see = "notebooks/00f_policies.ipynb, 'NULL: the third answer'"

    def case(name: str, release: int, other: int, unknown: int, teaches: str, noise: int = 0) -> Case:
        upload = "package.uploaded"
        events: list[dict[str, str]] = []
        for count, extra in ((release, {"workflow": "release.yml"}), (unknown, {})):
            events += [{"type": upload, "subject": _wheel(rng), **extra} for _ in range(count)]
        others = ["test.yml", "docs.yml", "Release.yml"]
        events += [{"type": upload, "subject": _wheel(rng), "workflow": rng.choice(others)} for _ in range(other)]
        events += [
            {
                "type": "run.finished",
                "subject": f"run {rng.randrange(100)}",
                "workflow": rng.choice(["release.yml", "test.yml"]),
            }
            for _ in range(noise)
        ]
        rng.shuffle(events)
        truth = {"release": release, "other": other, "unknown": unknown}
        return Case(name, (events,), truth, teaches, see)

    few = [rng.randrange(1, 9) for _ in range(9)]
    yield case("all of it known", few[0], few[1], 0, "Two kinds of upload, both counted.")
    yield case(
        "some of it unknown",
        few[2],
        few[3],
        few[4],
        "A missing workflow is neither equal "
        "to release.yml nor different from it: both comparisons give NULL, and WHERE drops "
        "NULL. Ask `IS NULL`.",
    )
    yield case(
        "nothing known",
        0,
        0,
        few[5],
        "An upload that nobody accounts for is the one that "
        "a stolen token would make. And `sum` over nothing but NULL is NULL: count rows.",
    )
    yield case("other events too", few[6], few[7], few[8], "Only uploads count.", noise=few[0])
    yield case(
        "no uploads",
        0,
        0,
        0,
        "Over no rows `sum` gives NULL, `count` gives 0. Nothing happened is not the same as nobody knows.",
        noise=few[1],
    )


def _wheel(rng: random.Random) -> str:
    return f"triage-{rng.randrange(1, 5)}.{rng.randrange(10)}.{rng.randrange(10)}-py3-none-any.whl"


CASES = {
    "0.1": refs,
    "0.2": signers,
    "0.3": tokens,
    "0.4": subtrees,
    "0.5": permissions,
    "0.6": uploads,
}
