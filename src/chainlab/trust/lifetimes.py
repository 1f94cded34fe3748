"""Lifetimes: how long everything that the instance issues is valid. Change one here, and nowhere else.

Each constant says its unit in its name. A token lives ten minutes, as on the public good instance of Sigstore.
"""

from __future__ import annotations

__all__ = [
    "CA_DAYS",
    "CERTIFICATE_SECONDS",
    "CODE_SECONDS",
    "JOB_BEARER_SECONDS",
    "JOB_TOKEN_SECONDS",
    "TOKEN_SECONDS",
    "TUF_DAYS",
    "TUF_RENEWAL_DAYS",
    "TUF_ROOT_DAYS",
]

TOKEN_SECONDS = 600  # an identity token (JWT) of a person or of a CI job
JOB_BEARER_SECONDS = 1200  # the secret that a job exchanges for tokens; it also ends with the job
JOB_TOKEN_SECONDS = 1200  # a job's GITHUB_TOKEN and ACTIONS_RUNTIME_TOKEN; they also end with the job
CODE_SECONDS = 120  # the code of the sign-in page, until a client exchanges it for a token
CERTIFICATE_SECONDS = 600  # a signing certificate
CA_DAYS = 3650  # certificates of the CA and of the timestamp authority
TUF_ROOT_DAYS = 3650  # the TUF root, whose fingerprint a learner enrols
TUF_DAYS = 365  # the other TUF roles
TUF_RENEWAL_DAYS = 30  # before a TUF role's end it is signed again
