# exceptions — which exceptions count: those with an owner, a reason, the digest of these bytes and an end, and without
# any other field: a typing mistake must not make an exception wider than it was meant.
#
# Facts: now, release.digest, release.layers.
# Expected: exceptions[].{rule, about, digest, owner, reason, expires}, excepting.{rules, days}.
# An exception that does not count refuses nothing: it only excuses nothing, and the note says why.
# Undefined never passes: an exception counts only when every condition holds.

package chainlab.rules.exceptions

import rego.v1

import data.chainlab.evidence

default passed := false

now := evidence.number(input, "now")

all := evidence.entries(data.expected, "exceptions")

digests := {evidence.digest} | {evidence.text(layer, "digest") | some layer in evidence.layers}

is_digest(text) if regex.match(`^sha256:[0-9a-f]{64}$`, text)

is_for_digest(exception) if is_digest(evidence.text(exception, "digest"))

is_for_these(exception) if evidence.text(exception, "digest") in digests

is_running(exception) if {
	now > 0
	evidence.number(exception, "expires") > now
}

is_short(exception) if evidence.number(exception, "expires") - now <= data.expected.excepting.days * 86400

can_be(exception) if evidence.text(exception, "rule") in data.expected.excepting.rules

is_owned(exception) if contains(evidence.text(exception, "owner"), "@")

is_reasoned(exception) if evidence.text(exception, "reason") != "nothing"

fields := {"rule", "about", "digest", "owner", "reason", "expires"}

unknown(exception) := [name |
	is_object(exception)
	some name in object.keys(object.remove(exception, fields))
]

# The value of `about` in a list, which is empty when the field is missing. `text` cannot tell a missing field from a
# malformed one, and an exception without `about` is for every finding of its rule.
abouts(exception) := [value |
	is_object(exception)
	"about" in object.keys(exception)
	value := object.get(exception, "about", null)
]

is_known(exception) if count(unknown(exception)) == 0

is_specific(exception) if count(abouts(exception)) == 0

is_specific(exception) if evidence.text(exception, "about") != "nothing"

valid contains exception if {
	some exception in all
	is_known(exception)
	is_specific(exception)
	is_owned(exception)
	is_reasoned(exception)
	is_for_digest(exception)
	is_for_these(exception)
	is_running(exception)
	is_short(exception)
	can_be(exception)
}

faults contains [exception, message] if {
	some exception in all
	some name in unknown(exception)
	message := concat("", ["it has an unknown field, ", name])
}

faults contains [exception, "`about` is not a text"] if {
	some exception in all
	not is_specific(exception)
}

faults contains [exception, "it has no owner"] if {
	some exception in all
	not is_owned(exception)
}

faults contains [exception, "it has no reason"] if {
	some exception in all
	not is_reasoned(exception)
}

faults contains [exception, "it is for a name, not for a digest"] if {
	some exception in all
	not is_for_digest(exception)
}

faults contains [exception, "it is for other bytes"] if {
	some exception in all
	is_for_digest(exception)
	not is_for_these(exception)
}

faults contains [exception, "it has expired, or has no end"] if {
	some exception in all
	not is_running(exception)
}

faults contains [exception, "it is for too long"] if {
	some exception in all
	not is_short(exception)
}

faults contains [exception, "its rule cannot have exceptions"] if {
	some exception in all
	not can_be(exception)
}

# The owners who excuse one finding of a rule; empty when nobody does.
excuses(rule, about) := {evidence.text(exception, "owner") |
	some exception in valid
	exception.rule == rule
	is_about(exception, about)
}

is_about(exception, _) if count(abouts(exception)) == 0

is_about(exception, about) if abouts(exception) == [about]

void contains message if {
	some exception in all
	not exception in valid
	message := concat("", ["an exception for ", evidence.text(exception, "rule"), " counts for nothing: ", concat(", ", sort([fault[1] | some fault in faults; fault[0] == exception]))])
}

passed if {
	now > 0
	is_array(data.expected.exceptions)
}

refused contains {"about": evidence.digest, "message": "the time is unknown, so nothing can expire", "hint": "give the gate a clock"} if {
	now <= 0
}

note := concat("; ", array.concat(
	[sprintf("%d of %d count", [count(valid), count(all)])],
	sort([message | some message in void]),
))

verdict := {"passed": passed, "refused": refused, "note": note}
