# exceptions — which exceptions count: those with an owner, a reason, the digest of these bytes, and an end.
#
# Facts: now, release.digest, release.layers.
# Expected: exceptions[].{rule, about, digest, owner, reason, expires}, excepting.{rules, days}.
# An exception that does not count refuses nothing by itself: it excuses nothing, and the note says why.
# Undefined never passes: each condition is asked for; what is missing makes the exception void.

package chainlab.rules.exceptions

import rego.v1

import data.chainlab.evidence

default passed := false

now := evidence.number(input, "now")

all := evidence.entries(data.expected, "exceptions")

digests := {evidence.digest} | {evidence.text(layer, "digest") | some layer in evidence.layers}

is_digest(text) if regex.match(`^sha256:[0-9a-f]{64}$`, text)

faults(exception) := {fault |
	some fault, holds in {
		"it has no owner": contains(evidence.text(exception, "owner"), "@"),
		"it has no reason": evidence.text(exception, "reason") != "nothing",
		"it is for a name, not for a digest": is_for_digest(exception),
		"it is for other bytes": is_for_these(exception),
		"it has no end": evidence.number(exception, "expires") > 0,
		"it has expired": is_running(exception),
		"it is for too long": is_short(exception),
		"its rule can have none": can_be(exception),
	}
	not holds
}

default is_for_digest(_) := false

is_for_digest(exception) if is_digest(evidence.text(exception, "digest"))

default is_for_these(_) := false

is_for_these(exception) if evidence.text(exception, "digest") in digests

default is_running(_) := false

is_running(exception) if {
	now > 0
	evidence.number(exception, "expires") > now
}

default is_short(_) := false

is_short(exception) if evidence.number(exception, "expires") - now <= data.expected.excepting.days * 86400

default can_be(_) := false

can_be(exception) if evidence.text(exception, "rule") in data.expected.excepting.rules

valid contains exception if {
	some exception in all
	is_object(exception)
	is_for_digest(exception)
	is_for_these(exception)
	is_running(exception)
	is_short(exception)
	can_be(exception)
	contains(evidence.text(exception, "owner"), "@")
	evidence.text(exception, "reason") != "nothing"
}

# Whether one finding of a rule is excused, and by whom.
excuses(rule, about) := {evidence.text(exception, "owner") |
	some exception in valid
	exception.rule == rule
	evidence.text(exception, "about") in {"nothing", about}
}

void contains said if {
	some exception in all
	not exception in valid
	said := sprintf("an exception for %s counts for nothing: %s", [
		evidence.text(exception, "rule"), concat(", ", sort([fault | some fault in faults(exception)])),
	])
}

passed if {
	now > 0
	is_array(data.expected.exceptions)
}

refused contains {"about": evidence.digest, "said": "the time is unknown, so nothing can expire", "mend": "give the gate a clock"} if {
	now <= 0
}

note := concat("; ", array.concat(
	[sprintf("%d of %d count", [count(valid), count(all)])],
	sort([said | some said in void]),
))

verdict := {"passed": passed, "refused": refused, "note": note}
