"""Verify what another job handed over: FOLDER, JOB, ATTESTED; the rest is the job's own environment."""

import os
import sys
from pathlib import Path

from chainlab.ci.runs.handover import Handover
from chainlab.errors import ChainlabError

try:
    handover = Handover.of_job(os.environ)
    attested = os.environ["ATTESTED"].split()
    print(*handover.accept(Path(os.environ["FOLDER"]), os.environ["JOB"], attested), sep="\n")
except ChainlabError as error:
    sys.exit(f"refused: {error}")
