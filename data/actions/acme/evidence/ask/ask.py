"""Ask the deployment for WANTED (verdict, promotion) about REFERENCE, with the job's own identity."""

import os
import sys

import requests

from chainlab.errors import ChainlabError
from chainlab.evidence.signing import ambient_token

WHERE = {"verdict": "verdicts", "promotion": "promotions"}
AUDIENCE = "chainlab-deploy"
SECONDS = 60

try:
    answer = requests.post(
        f"{os.environ['CHAINLAB_URL']}/deploy/{WHERE[os.environ['WANTED']]}",
        json={"reference": os.environ["REFERENCE"]},
        headers={"Authorization": f"Bearer {ambient_token(AUDIENCE)}"},
        timeout=SECONDS,
    )
    document = answer.json()
except (ChainlabError, requests.RequestException, ValueError, KeyError) as error:
    sys.exit(f"refused: no answer: {error}")
print(document.get("table") or document.get("message") or document)
if answer.status_code != 200 or document.get("allowed") is not True:
    sys.exit("refused")
