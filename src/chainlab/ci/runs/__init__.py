"""Workflow runs: what starts, what each job may reach, the jobs in their sandboxes, and the record of a run.

rights           what a run and its jobs may do
run_plan         what starts, which jobs, with which rights
workflow_run     the jobs, one after another
job_access       what one job may reach, and how long its tokens live
job_copy, calls  the copy of the workflow that runs a job alone; the workflows that it calls
job, relay       one job in its sandbox, and its only way out
transcript       steps, outputs and summary from what `act` prints
job_provenance   what a job stored, signed by the host
handover         how a job verifies the files of an earlier one
run_reports      events, logs and the record; run_record has the record itself (`Run`)
"""
