# %% [markdown]
# # Week 0 lab · Six short checks
#
# > If you can do these, week 1 will be about security and not about vocabulary.
#
# **You will** (54 min, 8 to 10 for each exercise)
# - answer one exercise per primer
# - meet, in each, the mistake that most people make once
#
# **Before:** the primer of the same letter, or its subject known. **Next:** week 1, `01_threats`
#
# Every exercise is a function. The check calls it on cases that stay the same and on others generated from `seed`; change
# the seed, and your answer should still hold. Each exercise stands alone: do them in any order.
#
# Stuck after the last hint? `solutions/00_onramp.ipynb` has a worked answer to each, and why it works. Read it, close it,
# and write yours from memory.

# %% tags=["parameters"]
seed = 1

# %%
import chainlab

lab = chainlab.open("00_onramp", seed=seed)

# %% [markdown]
# ## Exercise 0.1 — which commit does a ref name? (2 points)
# A workflow says `uses: acme/checkout@REF`. Before we can pin it, we must know which commit `REF` means today. Given a local
# clone and a ref (a branch, a tag of any kind, or 40 hex digits), return the **commit's** full id, or `None` if there is no
# such commit.
#
# `git(repository, …)` runs git and returns what it printed, or `None` if git refused.
# <details><summary>Hint 1</summary>What does git show for an annotated tag: the commit, or the tag itself? How did the primer peel it?</details>
# <details><summary>Hint 2</summary>Look at the last output of `00a_git`: what made git open the object, instead of repeating the digits?</details>

# %%
from pathlib import Path


def git(repository: Path, *words: str) -> str | None:
    done = lab.run(["git", "-C", str(repository), *words], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


# %% tags=["exercise"]
def commit_of(repository: Path, ref: str) -> str | None:
    """The full id of the commit that ``ref`` names, or None."""
    ### BEGIN SOLUTION
    return git(repository, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.1", commit_of)

# %% tags=["wrong"]
# wrong: stops at the tag object, so the pin names no commit -> an annotated tag
def commit_of(repository: Path, ref: str) -> str | None:
    return git(repository, "rev-parse", "--verify", "--quiet", ref)

# %% tags=["wrong"]
# wrong: peels one layer only -> a tag on a tag
def commit_of(repository: Path, ref: str) -> str | None:
    peeled = git(repository, "cat-file", "-p", ref)
    if peeled and peeled.startswith("object "):
        return peeled.split()[1]
    return git(repository, "rev-parse", "--verify", "--quiet", ref)

# %% tags=["wrong"]
# wrong: takes 40 hex digits at their word -> 40 digits nobody made
def commit_of(repository: Path, ref: str) -> str | None:
    if len(ref) == 40:
        return ref
    return git(repository, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

# %% [markdown] tags=["solution"]
# **Why.** `^{commit}` asks for an object of that kind, so git opens every layer and fails if the end is no commit.
#
# One thing it does not tell you: *whose* commit it is. A hosting site keeps a repository and its forks in one store, so an
# address like `acme/checkout@<40 digits>` may answer with a commit that exists **only in a stranger's fork**. A pinner has to
# ask as well whether a branch or a tag of the repository itself contains it (`git branch --contains`, in a fresh clone).
# You write that pinner in week 2.

# %% [markdown]
# ## Exercise 0.2 — who signed this, if anybody? (2 points)
# You get an artifact, a signature, a certificate, and the certificate of the one authority that you trust. Return the email
# address of the signer if these four **establish** it, and `None` otherwise.
#
# The two checks of the primer are given: `holds` (did this certificate's key sign these bytes?) and `issued_by` (did this
# authority sign that certificate?). So is `name_in`, which reads the address that a certificate *states*. The third check, time, is left out: every certificate
# here is in date.
# <details><summary>Hint 1</summary>Which of the three helpers would also be content with something that a stranger made at home?</details>
# <details><summary>Hint 2</summary>Lay a look-alike beside the artifact, then somebody's genuine certificate. Which helper refuses which? See "A forged look-alike".</details>

# %%
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


def holds(certificate: x509.Certificate, signature: bytes, data: bytes) -> bool:
    try:
        certificate.public_key().verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True

# %%
def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):
        return False
    return True


def name_in(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.RFC822Name)[0]


# %% tags=["exercise"]
def signer(artifact: bytes, signature: bytes, certificate_pem: bytes, authority_pem: bytes) -> str | None:
    """The signer's address, if it is established, or None."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    authority = x509.load_pem_x509_certificate(authority_pem)
    ### BEGIN SOLUTION
    if issued_by(certificate, authority) and holds(certificate, signature, artifact):
        return name_in(certificate)
    return None
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.2", signer)

# %% tags=["wrong"]
# wrong: believes the name because the signature fits the certificate -> a look-alike certificate
def signer(artifact: bytes, signature: bytes, certificate_pem: bytes, authority_pem: bytes) -> str | None:
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    return name_in(certificate) if holds(certificate, signature, artifact) else None

# %% tags=["wrong"]
# wrong: compares the issuer's name instead of its signature -> a look-alike certificate
def signer(artifact: bytes, signature: bytes, certificate_pem: bytes, authority_pem: bytes) -> str | None:
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    authority = x509.load_pem_x509_certificate(authority_pem)
    known = certificate.issuer == authority.subject
    return name_in(certificate) if known and holds(certificate, signature, artifact) else None

# %% tags=["wrong"]
# wrong: a genuine certificate beside the artifact is enough -> one bit changed
def signer(artifact: bytes, signature: bytes, certificate_pem: bytes, authority_pem: bytes) -> str | None:
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    authority = x509.load_pem_x509_certificate(authority_pem)
    return name_in(certificate) if issued_by(certificate, authority) else None

# %% [markdown] tags=["solution"]
# **Why.** Two links, and the name hangs on both: authority → certificate → bytes. Leave out the first and anyone signs in
# any name; leave out the second and a genuine certificate, which is public, can be laid beside any file.
#
# What even the right answer leaves open: *was this person allowed to sign this?* `bob@example.com` may be perfectly genuine
# and have no business releasing your model. Deciding that is **policy**, a separate step, and forgetting it is the most
# common way in which real verifications are too generous. In week 1 you will see a verifier that insists on being told whom
# you expect.

# %% [markdown]
# ## Exercise 0.3 — accept the token, or say why not (2 points)
# You run a service. It is called `audience`, and it trusts one issuer, whose address and public key (PEM) you have. Look at a token
# at the moment `now` (seconds since 1970) and return `"accept"` or the first reason to refuse, in this order:
# `"signature"`, `"issuer"`, `"audience"`, `"expired"`. Tokens are signed with `ES256`.
#
# `jwt.decode` can check the seal and leave the rest to you: `options={"verify_aud": False, "verify_exp": False, "verify_iat": False}`.
# It raises `jwt.InvalidTokenError` when the seal does not hold.
# <details><summary>Hint 1</summary>Who chose the value in the header's `alg`? And what types may `aud` have, according to RFC 7519?</details>
# <details><summary>Hint 2</summary>Try `"store" in "app-store"` and `"store" in ["app-store"]`. Which of the two does your code ask, when `aud` is a text?</details>

# %% tags=["exercise"]
import jwt

ONLY_THE_SEAL = {"verify_aud": False, "verify_exp": False, "verify_iat": False}


def verdict(token: str, key: str, issuer: str, audience: str, now: int) -> str:
    """ "accept", or the first reason to refuse."""
    ### BEGIN SOLUTION
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], options=ONLY_THE_SEAL)
    except jwt.InvalidTokenError:
        return "signature"
    if claims["iss"] != issuer:
        return "issuer"
    meant_for = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
    if audience not in meant_for:
        return "audience"
    return "accept" if now < claims["exp"] else "expired"
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.3", verdict)

# %% tags=["wrong"]
# wrong: looks for the audience as a part of a text -> an audience that contains ours
def verdict(token: str, key: str, issuer: str, audience: str, now: int) -> str:
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], options=ONLY_THE_SEAL)
    except jwt.InvalidTokenError:
        return "signature"
    if claims["iss"] != issuer:
        return "issuer"
    if audience not in claims["aud"]:
        return "audience"
    return "accept" if now < claims["exp"] else "expired"

# %% tags=["wrong"]
# wrong: reads the claims without checking the seal -> signed by a stranger
def verdict(token: str, key: str, issuer: str, audience: str, now: int) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    if claims["iss"] != issuer:
        return "issuer"
    meant_for = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
    if audience not in meant_for:
        return "audience"
    return "accept" if now < claims["exp"] else "expired"

# %% tags=["wrong"]
# wrong: accepts any issuer whose address begins like ours -> an issuer that begins like ours
def verdict(token: str, key: str, issuer: str, audience: str, now: int) -> str:
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], options=ONLY_THE_SEAL)
    except jwt.InvalidTokenError:
        return "signature"
    if not claims["iss"].startswith(issuer):
        return "issuer"
    meant_for = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
    if audience not in meant_for:
        return "audience"
    return "accept" if now < claims["exp"] else "expired"

# %% [markdown] tags=["solution"]
# **Why.** The seal comes first because without it the other three questions are answered by the sender. `aud` may be a text
# or a list; a text in Python is also a container of its parts, and that is how `"not-sigstore"` passes for `"sigstore"`.
#
# In production you would let the library do all four: `jwt.decode(token, key, algorithms=["ES256"], audience=…, issuer=…)`.
# Watch what happens if you leave an argument *out*. Without `issuer=`, PyJWT does not look at the issuer at all. Without
# `audience=`, it refuses a token that has one. The first default is open and the second is closed, in the same function: read
# the defaults of whatever checks for you.

# %% [markdown]
# ## Exercise 0.4 — one root from uneven subtrees (1 point)
# A log with millions of entries does not hash them all again at each append. It keeps the roots of its *complete subtrees*,
# from left to right: 7 entries are kept as one subtree of 4, one of 2 and one of 1. Given that list of `(size, root in hex)`,
# return the root of the whole log, in hex.
#
# `node` hashes two roots (bytes, not hex) into one, as in the primer. There is always at least one subtree.
# <details><summary>Hint 1</summary>Draw seven entries, and mark the three subtrees. Which two of them have a common parent?</details>
# <details><summary>Hint 2</summary>In the drawing of "Odd sizes", `ef` and `g` meet before either of them meets `abcd`. So at which end do you begin?</details>

# %%
import hashlib


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


# %% tags=["exercise"]
def root_of(subtrees: list[tuple[int, str]]) -> str:
    """The root of a log, from its complete subtrees, left to right."""
    ### BEGIN SOLUTION
    parts = [bytes.fromhex(root) for _, root in subtrees]
    right = parts.pop()
    while parts:
        right = node(parts.pop(), right)
    return right.hex()
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.4", root_of)

# %% tags=["wrong"]
# wrong: doubles the smaller subtree with a copy of itself until the sizes agree -> three entries
def root_of(subtrees: list[tuple[int, str]]) -> str:
    sized = [(size, bytes.fromhex(root)) for size, root in subtrees]
    size, right = sized.pop()
    while sized:
        wanted, left = sized.pop()
        while size < wanted:
            size, right = 2 * size, node(right, right)
        size, right = 2 * wanted, node(left, right)
    return right.hex()

# %% tags=["wrong"]
# wrong: begins at the left -> seven entries
def root_of(subtrees: list[tuple[int, str]]) -> str:
    first, *rest = [bytes.fromhex(root) for _, root in subtrees]
    for other in rest:
        first = node(first, other)
    return first.hex()

# %% [markdown] tags=["solution"]
# **Why.** Splitting at the largest power of two puts the biggest complete subtree on the left, and everything else on the
# right, again and again. Read upwards, that is: join from the right. The sizes are not needed, because the order says it.
#
# Those few hashes are called a *compact range*, and there are never more of them than the size has binary digits with a 1:
# 7 is 111, three subtrees; a million entries need at most twenty. That is why appending to a log stays cheap for ever, and
# why a *monitor* can follow a log without storing it: it keeps twenty hashes and checks that they grow into the next root.

# %% [markdown]
# ## Exercise 0.5 — what may this job do? (2 points)
# Given the text of a workflow file, the name of a job, and the repository's default permissions, return what that job's
# token may do, as `{scope: level}`. Leave out scopes whose level is `none`. (Blocks here are always mappings.)
# <details><summary>Hint 1</summary>What is the difference between a block that is empty and a block that is not there? Does your `if` see it?</details>
# <details><summary>Hint 2</summary>Which three places may have a say, and in which order does the platform ask them? See "one block wins".</details>

# %% tags=["exercise"]
import yaml


def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    """What the job's token may do: scope -> level."""
    ### BEGIN SOLUTION
    whole = yaml.safe_load(workflow)
    for place in (whole["jobs"][job], whole, {"permissions": default}):
        if "permissions" in place:
            return {scope: level for scope, level in place["permissions"].items() if level != "none"}
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.5", token_may)

# %% tags=["wrong"]
# wrong: merges the job's block into the workflow's -> the job says otherwise
def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    whole = yaml.safe_load(workflow)
    own, top = whole["jobs"][job].get("permissions"), whole.get("permissions")
    merged = default if own is None and top is None else {**(top or {}), **(own or {})}
    return {scope: level for scope, level in merged.items() if level != "none"}

# %% tags=["wrong"]
# wrong: `or` treats an empty block as an absent one -> the job asks for nothing
def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    whole = yaml.safe_load(workflow)
    block = whole["jobs"][job].get("permissions") or whole.get("permissions") or default
    return {scope: level for scope, level in block.items() if level != "none"}

# %% tags=["wrong"]
# wrong: adds what is named to the repository's default -> the workflow says
def token_may(workflow: str, job: str, default: dict[str, str]) -> dict[str, str]:
    whole = yaml.safe_load(workflow)
    for place in (whole["jobs"][job], whole):
        if "permissions" in place:
            block = {**default, **place["permissions"]}
            return {scope: level for scope, level in block.items() if level != "none"}
    return dict(default)

# %% [markdown] tags=["solution"]
# **Why.** Inside out, first block wins, nothing is merged. `{}` is a block; in Python it is also *false*, so `or` walks past
# it and hands the job the very permissions that it had given up.
#
# Two things the file cannot tell you. The *default* is a setting of the repository or its organisation: an audit that reads
# files only must report "unknown" where no block stands. And the block limits `GITHUB_TOKEN` alone. Secrets that the job is
# given, such as a long-lived package token, are not bound by it: `permissions: {}` beside `secrets.INDEX_TOKEN` protects the
# repository and leaves the package index wide open.

# %% [markdown]
# ## Exercise 0.6 — three kinds of answer (1 point)
# `events` are from a package index. Of those with type `package.uploaded`, count how many came from the workflow
# `release.yml`, how many from something else, and how many nobody can account for, because the field `workflow` is missing.
# Return `{"release": …, "other": …, "unknown": …}`, three whole numbers.
#
# `ask(events, "SELECT …")` puts them into SQLite as `event (type, subject, workflow)`, a missing field as NULL, and gives
# the rows of the answer. SQL or Python, as you like.
# <details><summary>Hint 1</summary>Your three numbers should add up to the number of uploads. Do they, when a workflow is missing?</details>
# <details><summary>Hint 2</summary>Which comparison answers yes or no even for NULL? And try `count(*)` and `sum(…)` over no rows. See "NULL: the third answer".</details>

# %%
import sqlite3
from contextlib import closing


def ask(events: list[dict[str, str]], query: str) -> list[tuple]:
    rows = [(e["type"], e["subject"], e.get("workflow")) for e in events]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE event (type TEXT, subject TEXT, workflow TEXT)")
        db.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)
        return db.execute(query).fetchall()


# %% tags=["exercise"]
def accounted(events: list[dict[str, str]]) -> dict[str, int]:
    """How many uploads came from the release workflow, from another, and from nobody knows where."""
    ### BEGIN SOLUTION
    kinds = {"release": "= 'release.yml'", "other": "<> 'release.yml'", "unknown": "IS NULL"}
    query = "SELECT count(*) FROM event WHERE type = 'package.uploaded' AND workflow"
    return {kind: ask(events, f"{query} {test}")[0][0] for kind, test in kinds.items()}
    ### END SOLUTION


# %% tags=["check"]
lab.check("0.6", accounted)

# %% tags=["wrong"]
# wrong: whatever is not the release workflow is "other", the unknown included -> some of it unknown
def accounted(events: list[dict[str, str]]) -> dict[str, int]:
    uploads = [e for e in events if e["type"] == "package.uploaded"]
    release = sum(e.get("workflow") == "release.yml" for e in uploads)
    return {"release": release, "other": len(uploads) - release, "unknown": 0}

# %% tags=["wrong"]
# wrong: compares with NULL, which is never true -> some of it unknown
def accounted(events: list[dict[str, str]]) -> dict[str, int]:
    kinds = {"release": "= 'release.yml'", "other": "<> 'release.yml'", "unknown": "= NULL"}
    query = "SELECT count(*) FROM event WHERE type = 'package.uploaded' AND workflow"
    return {kind: ask(events, f"{query} {test}")[0][0] for kind, test in kinds.items()}

# %% tags=["wrong"]
# wrong: adds up answers that are NULL, and gets NULL -> nothing known
def accounted(events: list[dict[str, str]]) -> dict[str, int]:
    sums = "sum(workflow = 'release.yml'), sum(workflow <> 'release.yml'), sum(workflow IS NULL)"
    [row] = ask(events, f"SELECT {sums} FROM event WHERE type = 'package.uploaded'")
    return dict(zip(("release", "other", "unknown"), row, strict=True))

# %% [markdown] tags=["solution"]
# **Why.** Three kinds of answer need three conditions, because SQL's `=` and `<>` both stay silent about NULL.
#
# There are two different zeros here, and reports mix them up. "No uploads" is a count of nothing: 0. "Nobody recorded the
# workflow" is *not* 0 releases; it is an unknown number of releases. If half of a week's uploads are unknown, then "three
# came from elsewhere" means "at least three". The habit to take along: **let the third column be seen**, and be suspicious
# when it is always empty. A log that never lacks anything is usually a log in which something fills the gaps.

# %% [markdown]
# ## What now
# **You can now** pin by the commit behind a tag; say when a name in a certificate is established; check a token in the right
# order; compute a root; read a job's rights; and keep "nobody knows" apart from no.
#
# **To carry home** (10 min, in a repository of your own). Open one workflow. Write down, for each job, what its token may do,
# by the three rules of exercise 0.5. Where no block stands, look at the repository's setting *Workflow permissions*: if it
# says read and write, set it to read, and give the one job that needs more a block of its own.
#
# **Next:** week 1, `01_threats`.
