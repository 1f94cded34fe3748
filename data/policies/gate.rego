# The gate: the result of each rule, after exceptions. Python asks for `data.chainlab.gate.report` and for nothing else.
#
# A rule passes when it proved what it wants to see and found nothing to refuse. It is excepted when exceptions that
# count excuse all its refusals. Every other rule refuses: one that is undefined, or that neither passed nor said why.
# Python refuses a rule of the policy that is not in the report.
#
# A rule of your own, for example one that refuses a licence:
#   1. `chainlab gate REFERENCE --facts` shows what rules can read, as `input`. Is it not there? Add it in
#      src/chainlab/policy/facts: an SBOM's licences belong into `predicates.py`, beside its components.
#   2. Write licences.rego with `package chainlab.rules.licences` and a `verdict`; pins.rego is a short one to copy.
#   3. Add a line for it below, its name to the `rules` of release.toml, and there what it expects.
#   4. Add rows to tests/policy/test_rules.py, and run `make test T=tests/policy/test_rules.py`.
# (The lines below stand one by one: in a function, regopy 1.5.2 takes the first rule for
# `data.chainlab.rules[name].verdict`, whatever `name` is.)

package chainlab.gate

import rego.v1

import data.chainlab.evidence
import data.chainlab.rules

report["intact"] := judged("intact", rules.intact.verdict)

report["identity"] := judged("identity", rules.identity.verdict)

report["provenance"] := judged("provenance", rules.provenance.verdict)

report["pins"] := judged("pins", rules.pins.verdict)

report["vulnerabilities"] := judged("vulnerabilities", rules.vulnerabilities.verdict)

report["sbom"] := judged("sbom", rules.sbom.verdict)

report["model"] := judged("model", rules.model.verdict)

report["metrics"] := judged("metrics", rules.metrics.verdict)

report["cooldown"] := judged("cooldown", rules.cooldown.verdict)

report["exceptions"] := judged("exceptions", rules.exceptions.verdict)

judged(rule, verdict) := {
	"result": result(rule, verdict),
	"refused": left(rule, verdict),
	"excused_by": sort([owner | some owner in owners(rule, verdict)]),
	"note": verdict.note,
}

result(rule, verdict) := "passed" if {
	verdict.passed == true
	count(verdict.refused) == 0
} else := "excepted" if {
	count(verdict.refused) > 0
	count(left(rule, verdict)) == 0
} else := "refused"

left(rule, verdict) := [refusal |
	some refusal in verdict.refused
	count(rules.exceptions.excuses(rule, evidence.text(refusal, "about"))) == 0
]

owners(rule, verdict) := {owner |
	some refusal in verdict.refused
	some owner in rules.exceptions.excuses(rule, evidence.text(refusal, "about"))
}
