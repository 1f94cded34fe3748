# vulnerabilities — no component has an exploited vulnerability, unless a valid VEX says why it does not matter here.
#
# Facts: vulnerabilities.{scanned, why, components, uncompared, advisories, skipped, void, found[], unread[]},
#   found[].{id, component, exploited, status, why, by}, unread[].{id, where, why}: advisories that cannot be read.
#   `void` are entries of VEX documents that cannot be read.
#   `status` comes from the verified VEX statements: open, not_affected, fixed, stale; `by` signed the one that counted.
# Expected: vulnerabilities.excused_by, signers: who may excuse what is exploited. The suspect does not write the alibi.
#   vulnerabilities.excused_records: ids of advisories that cannot be read, and that somebody has looked at.
# Undefined never passes: "not scanned" does not mean "nothing found", and any `exploited` but false counts as true.

package chainlab.rules.vulnerabilities

import rego.v1

import data.chainlab.evidence

default passed := false

scan := evidence.at(input, "vulnerabilities")

findings := evidence.entries(scan, "found")

is_settled(finding) if finding.exploited == false

is_settled(finding) if {
	finding.status in ["not_affected", "fixed"]
	evidence.text(finding, "by") in excusers
}

excusers := {data.expected.signers[name].identity |
	some name in data.expected.vulnerabilities.excused_by
}

# Every record was read, or each unread one is excused. A scan that failed lists no unread record.
is_scanned if {
	scan.scanned == true
	count(unread) == 0
}

is_scanned if {
	count(unread) > 0
	every record in unread {
		is_excused(record)
	}
}

unread := evidence.entries(scan, "unread")

is_excused(record) if evidence.text(record, "id") in data.expected.vulnerabilities.excused_records

passed if {
	is_scanned
	evidence.number(scan, "components") > 0
	evidence.number(scan, "advisories") > 0
	is_array(scan.found)
	every finding in findings {
		is_settled(finding)
	}
}

refused contains {"about": evidence.text(finding, "id"), "message": message, "hint": "update the component; or, if it is not reachable, say so in a signed VEX"} if {
	some finding in findings
	not is_settled(finding)
	message := concat("", [evidence.text(finding, "id"), " in ", evidence.text(finding, "component"), " is exploited, and ", evidence.text(finding, "status"), ": ", evidence.text(finding, "why"), whose(finding)])
}

whose(finding) := concat("", [", says ", evidence.text(finding, "by")]) if {
	evidence.text(finding, "by") != "nothing"
} else := ""

refused contains {"about": evidence.text(record, "id"), "message": message, "hint": "fix the record, or look at it and excuse its id: vulnerabilities.excused_records"} if {
	some record in unread
	not is_excused(record)
	message := concat("", ["not scanned: the advisory ", evidence.text(record, "id"), " cannot be read: ", evidence.text(record, "why")])
}

refused contains {"about": evidence.digest, "message": message, "hint": "fix the scan: what was not scanned is not known to be safe"} if {
	not is_scanned
	count(unread) == 0
	message := concat("", ["not scanned: ", evidence.text(scan, "why")])
}

refused contains {"about": evidence.digest, "message": "there was no component to compare", "hint": "give the release its SBOM"} if {
	is_scanned
	evidence.number(scan, "components") <= 0
}

refused contains {"about": evidence.digest, "message": "there was no advisory to compare with", "hint": "fetch the advisories: --advisories FOLDER"} if {
	is_scanned
	evidence.number(scan, "advisories") <= 0
}

note := concat("", [counts, others, excuses])

counts := sprintf("%d components against %d advisories: %d findings, none exploited and open", [
	evidence.number(scan, "components"), evidence.number(scan, "advisories"), count(findings),
])

others := sprintf("; %d components are of ecosystems that are not compared", [evidence.number(scan, "uncompared")]) if {
	evidence.number(scan, "uncompared") > 0
} else := ""

excuses := sprintf("; %d advisories cannot be read, and are excused", [count(unread)]) if {
	count(unread) > 0
} else := ""

verdict := {"passed": passed, "refused": refused, "note": note}
