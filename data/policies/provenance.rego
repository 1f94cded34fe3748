# provenance — the expected platform saw every stage of one run, and each layer came from the job that makes it.
#
# Facts: evidence[] of kind provenance: job, about, run, result, builder, build_type, repository, ref, commit, fork,
#   workflow_*, unknown_parameters; release.layers.
# Expected: builder.{id, build_type, workflow, jobs, publishes}, layers[].{ends, job}.
# Anybody may write a builder's id into a statement, so the id counts only with its signer. Python pairs the two.
# Files of a failed job have provenance too, which says how the job ended: only a success counts.
# Undefined never passes: a statement without `fork` is not one with `fork == false`.

package chainlab.rules.provenance

import rego.v1

import data.chainlab.evidence

default passed := false

jobs_of(run) := {evidence.text(entry, "job") | some entry in evidence.builds; evidence.text(entry, "run") == run}

makes(run, job, about) if {
	some entry in evidence.builds
	evidence.text(entry, "run") == run
	entry.job == job
	about in evidence.entries(entry, "about")
}

job_of(name) := job if {
	jobs := [kind.job | some kind in data.expected.layers; evidence.ends_with(name, kind.ends)]
	job := jobs[0]
} else := "nobody"

# The runs that made every layer, with all their jobs.
complete contains run if {
	some run in evidence.runs
	count({job | some job in data.expected.builder.jobs} - jobs_of(run)) == 0
	count(evidence.layers) > 0
	every layer in evidence.layers {
		makes(run, job_of(layer.name), layer.digest)
		makes(run, data.expected.builder.publishes, layer.digest)
	}
}

passed if count(complete) > 0

refused contains {"about": evidence.digest, "message": message, "hint": "push the release from the workflow's own job, so that the platform sees it"} if {
	count(evidence.runs) == 0
	message := concat("", ["no provenance of job ", data.expected.builder.publishes, " by ", data.expected.builder.id, " about the manifest"])
}

refused contains {"about": evidence.digest, "message": message, "hint": "let the whole workflow run"} if {
	count(complete) == 0
	some run in evidence.runs
	some job in {job | some job in data.expected.builder.jobs} - jobs_of(run)
	message := concat("", ["no provenance of job ", job, " of ", run])
}

refused contains {"about": evidence.text(layer, "digest"), "message": message, "hint": "find out where the file was changed: these bytes are not what the job stored"} if {
	count(complete) == 0
	some run in evidence.runs
	some layer in evidence.layers
	name := evidence.text(layer, "name")
	some job in {job_of(name), data.expected.builder.publishes}
	not makes(run, job, evidence.text(layer, "digest"))
	message := concat("", ["job ", job, " of ", run, " did not store ", name])
}

refused contains {"about": evidence.digest, "message": message, "hint": "look at the job's log, and release again"} if {
	count(complete) == 0
	some entry in evidence.provenance
	not evidence.text(entry, "result") == "success"
	message := concat("", ["job ", evidence.text(entry, "job"), " ended with ", evidence.text(entry, "result")])
}

refused contains {"about": evidence.digest, "message": message, "hint": "ask what the parameter does before the policy accepts it"} if {
	some entry in evidence.provenance
	some name in evidence.texts(entry, "unknown_parameters")
	message := concat("", ["job ", evidence.text(entry, "job"), " had the parameter ", name, ", which the policy does not know"])
}

note := concat("", ["jobs ", concat(", ", data.expected.builder.jobs), ", by ", data.expected.builder.id])

verdict := {"passed": passed, "refused": refused, "note": note}
