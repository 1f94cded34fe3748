"""Lifetimes: how long each token, code and certificate is valid, of the Sigstore instance and of the registry.

Each constant says its unit in its name. An identity token lives ten minutes, as on the public good instance of
Sigstore. What belongs to a job ends with the job, whatever stands here (`chainlab.jobs.LEASE` seconds after its host
was killed).
"""

from __future__ import annotations

__all__ = [
    "CA_DAYS",
    "CERTIFICATE_SECONDS",
    "CODE_SECONDS",
    "JOB_BEARER_SECONDS",
    "JOB_TOKEN_SECONDS",
    "OCI_TOKEN_SECONDS",
    "TOKEN_SECONDS",
    "TUF_DAYS",
    "TUF_RENEWAL_DAYS",
    "TUF_ROOT_DAYS",
    "UPLOAD_SECONDS",
]

TOKEN_SECONDS = 600  # an identity token (JWT) of a person or of a CI job
JOB_BEARER_SECONDS = 1200  # the secret that a job exchanges for tokens; it also ends with the job
JOB_TOKEN_SECONDS = 1200  # a job's GITHUB_TOKEN and ACTIONS_RUNTIME_TOKEN; they also end with the job
CODE_SECONDS = 120  # the code of the sign-in page, until a client exchanges it for a token
CERTIFICATE_SECONDS = 600  # a signing certificate
UPLOAD_SECONDS = 900  # the upload credential that trusted publishing mints, as on PyPI
OCI_TOKEN_SECONDS = 900  # a token of /v2/token; it also ends with the credential that asked for it
CA_DAYS = 3650  # certificates of the CA and of the timestamp authority
TUF_ROOT_DAYS = 3650  # the TUF root, whose fingerprint a learner enrols
TUF_DAYS = 365  # the other TUF roles
TUF_RENEWAL_DAYS = 30  # before a TUF role's end it is signed again
