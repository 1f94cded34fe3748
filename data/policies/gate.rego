# The gate: what each rule came to, after exceptions. Python asks for `data.chainlab.gate.report` and for nothing else.
#
# A rule passes when it proved what it wants to see and found nothing to refuse. It is excepted when every refusal of
# its is excused by an exception that counts. Everything else is refused: also a rule that is not listed below, that is
# undefined, or that neither passed nor said why. Python refuses a rule of the policy that is not in the report.
#
# A rule of your own: write NAME.rego with `package chainlab.rules.NAME` and a `verdict`, add a line here, and put NAME
# into the `rules` of the policy. (Written out, one by one: a reference whose last step is a variable reads differently
# in the two engines that these files are tested with.)

package chainlab.gate

import rego.v1

import data.chainlab.evidence
import data.chainlab.rules

verdicts["intact"] := rules.intact.verdict

verdicts["identity"] := rules.identity.verdict

verdicts["provenance"] := rules.provenance.verdict

verdicts["pins"] := rules.pins.verdict

verdicts["vulnerabilities"] := rules.vulnerabilities.verdict

verdicts["sbom"] := rules.sbom.verdict

verdicts["model"] := rules.model.verdict

verdicts["metrics"] := rules.metrics.verdict

verdicts["cooldown"] := rules.cooldown.verdict

verdicts["exceptions"] := rules.exceptions.verdict

open_refusals(rule) := [refusal |
	some refusal in verdicts[rule].refused
	count(rules.exceptions.excuses(rule, evidence.text(refusal, "about"))) == 0
]

owners(rule) := {owner |
	some refusal in verdicts[rule].refused
	some owner in rules.exceptions.excuses(rule, evidence.text(refusal, "about"))
}

result(rule) := "passed" if {
	verdicts[rule].passed == true
	count(verdicts[rule].refused) == 0
} else := "excepted" if {
	count(verdicts[rule].refused) > 0
	count(open_refusals(rule)) == 0
} else := "refused"

report[rule] := {
	"result": result(rule),
	"refused": open_refusals(rule),
	"excused_by": sort([owner | some owner in owners(rule)]),
	"note": verdicts[rule].note,
} if {
	some rule in data.expected.rules
	verdicts[rule]
}
