# The gate: what each rule came to, after exceptions. Python asks for `data.chainlab.gate.report` and for nothing else.
#
# A rule passes when it proved what it wants to see and found nothing to refuse. It is excepted when every refusal of
# its is excused by an exception that counts. Everything else is refused: also a rule that is not listed below, that is
# undefined, or that neither passed nor said why. Python refuses a rule of the policy that is not in the report.
#
# A rule of your own: write NAME.rego with `package chainlab.rules.NAME` and a `verdict`, add a line here, and put NAME
# into the `rules` of the policy. (One by one, as values: regopy 1.5.2 takes the first of them for
# `data.chainlab.rules[name].verdict` in a function, whatever `name` is.)

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
