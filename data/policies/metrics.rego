# metrics — the model is good enough, by the numbers that its training run put into the ML-BOM.
#
# Facts: evidence[] of kind ML-BOM: metrics[].{type, slice, value, lower, upper}, numbers or null.
# Expected: metrics[].{type, slice, field, at_least, at_most}; `field` is value, or lower: the interval's lower bound.
#   Without at_most the maximum is 1, as for a share of the cases: 61.4, meant as a percentage, is refused.
# The signer vouches for the numbers; a signature does not make them true, and they say nothing about clinical use.
# Undefined never passes: only a number meets a threshold.

package chainlab.rules.metrics

import rego.v1

import data.chainlab.evidence

default passed := false

ml_boms := [bom |
	some bom in evidence.boms
	bom.kind == "ML-BOM"
]

values(bom, wanted) := [object.get(metric, wanted.field, null) |
	some metric in evidence.entries(bom, "metrics")
	evidence.text(metric, "type") == wanted.type
	evidence.text(metric, "slice") == evidence.text(wanted, "slice")
]

at_most(wanted) := object.get(wanted, "at_most", 1)

is_numeric(value) if is_number(value)

is_met(value, wanted) if {
	is_numeric(value)
	value >= wanted.at_least
	value <= at_most(wanted)
}

meets(bom, wanted) if {
	found := values(bom, wanted)
	count(found) > 0
	every value in found {
		is_met(value, wanted)
	}
}

unmet contains wanted if {
	some bom in ml_boms
	some wanted in data.expected.metrics
	not meets(bom, wanted)
}

passed if {
	count(ml_boms) > 0
	count(data.expected.metrics) > 0
	count(unmet) == 0
}

refused contains {"about": wanted.type, "message": message, "hint": "train again, or look at the data; the threshold is the policy's"} if {
	some bom in ml_boms
	some wanted in data.expected.metrics
	some value in values(bom, wanted)
	is_number(value)
	value < wanted.at_least
	message := concat("", [wanted.field, " of ", wanted.type, " is ", sprintf("%v", [value]), ", expected at least ", sprintf("%v", [wanted.at_least])])
}

refused contains {"about": wanted.type, "message": message, "hint": "state a share as a number from 0 to 1"} if {
	some bom in ml_boms
	some wanted in data.expected.metrics
	some value in values(bom, wanted)
	is_number(value)
	value > at_most(wanted)
	message := concat("", [wanted.field, " of ", wanted.type, " is ", sprintf("%v", [value]), ", expected at most ", sprintf("%v", [at_most(wanted)])])
}

refused contains {"about": wanted.type, "message": message, "hint": "write it as a plain decimal number"} if {
	some bom in ml_boms
	some wanted in data.expected.metrics
	some value in values(bom, wanted)
	not is_numeric(value)
	message := concat("", [wanted.field, " of ", wanted.type, " is not a number"])
}

refused contains {"about": wanted.type, "message": message, "hint": "let the training job put it into the ML-BOM"} if {
	some bom in ml_boms
	some wanted in data.expected.metrics
	count(values(bom, wanted)) == 0
	message := concat("", ["the ML-BOM states no ", wanted.type])
}

refused contains {"about": evidence.digest, "message": "there is no verified ML-BOM to look at", "hint": "see the rule identity"} if {
	count(ml_boms) == 0
}

note := sprintf("%d thresholds met", [count(data.expected.metrics)])

verdict := {"passed": passed, "refused": refused, "note": note}
