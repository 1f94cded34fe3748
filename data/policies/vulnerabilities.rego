# vulnerabilities — nothing that is known to be exploited, unless a valid VEX says why it does not matter here.
#
# Facts: vulnerabilities.{scanned, why, components, advisories, found[]},
#   found[].{id, component, exploited, status, why, by}.
#   `status` comes from the verified VEX statements: open, not_affected, fixed, stale; `by` signed the one that counted.
# Expected: vulnerabilities.excused_by, signers: who may excuse what is exploited. The suspect does not write the alibi.
# Undefined never passes: "not scanned" is no "nothing found", and an `exploited` that is not false counts as true.

package chainlab.rules.vulnerabilities

import rego.v1

import data.chainlab.evidence

default passed := false

scan := evidence.at(input, "vulnerabilities")

found := evidence.entries(scan, "found")

is_settled(finding) if finding.exploited == false

is_settled(finding) if {
	finding.status in ["not_affected", "fixed"]
	evidence.text(finding, "by") in excusers
}

excusers := {data.expected.signers[name].identity |
	some name in data.expected.vulnerabilities.excused_by
}

passed if {
	scan.scanned == true
	evidence.number(scan, "components") > 0
	evidence.number(scan, "advisories") > 0
	is_array(scan.found)
	every finding in found {
		is_settled(finding)
	}
}

refused contains {"about": evidence.text(finding, "id"), "said": said, "mend": "update the component; or, if it is not reachable, say so in a signed VEX"} if {
	some finding in found
	not is_settled(finding)
	said := concat("", [evidence.text(finding, "id"), " in ", evidence.text(finding, "component"), " is exploited, and ", evidence.text(finding, "status"), ": ", evidence.text(finding, "why"), whose(finding)])
}

whose(finding) := concat("", [", says ", evidence.text(finding, "by")]) if {
	evidence.text(finding, "by") != "nothing"
} else := ""

refused contains {"about": evidence.digest, "said": said, "mend": "mend the scan: what was not scanned is not known to be safe"} if {
	not scan.scanned == true
	said := concat("", ["not scanned: ", evidence.text(scan, "why")])
}

refused contains {"about": evidence.digest, "said": "there was no component to look at", "mend": "give the release its SBOM"} if {
	scan.scanned == true
	evidence.number(scan, "components") <= 0
}

refused contains {"about": evidence.digest, "said": "there was no advisory to compare with", "mend": "fetch the advisories: --advisories FOLDER"} if {
	scan.scanned == true
	evidence.number(scan, "advisories") <= 0
}

note := sprintf("%d components against %d advisories: %d findings, none exploited and open", [
	evidence.number(scan, "components"), evidence.number(scan, "advisories"), count(found),
])

verdict := {"passed": passed, "refused": refused, "note": note}
