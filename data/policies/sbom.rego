# sbom — the bills of materials are valid, and list what the platform saw the jobs install.
#
# Facts: evidence[] of kind SBOM and ML-BOM: problems, components[].{name, version, hashes}; packages[].{name, version,
#   sha256, jobs}, from the platform's provenance: what the index served.
# Expected: sbom.{complete, jobs, tools}.
# An SBOM says what its maker wanted to list; what the index served, nobody in the job could leave out.
# Undefined never passes: a share of nothing is not 100 %, so something must have been served.

package chainlab.rules.sbom

import rego.v1

import data.chainlab.evidence

default passed := false

served contains item if {
	some item in evidence.entries(input, "packages")
	some job in evidence.entries(item, "jobs")
	job in data.expected.sbom.jobs
	not evidence.text(item, "name") in data.expected.sbom.tools
}

listed contains [evidence.text(component, "name"), evidence.text(component, "version")] if {
	some bom in evidence.boms
	some component in evidence.entries(bom, "components")
}

missing contains item if {
	some item in served
	not [evidence.text(item, "name"), evidence.text(item, "version")] in listed
}

# The same name and version, and other bytes. A component without hashes does not say which bytes it means.
other contains item if {
	some item in served
	some bom in evidence.boms
	some component in evidence.entries(bom, "components")
	evidence.text(component, "name") == evidence.text(item, "name")
	evidence.text(component, "version") == evidence.text(item, "version")
	hashes := evidence.entries(component, "hashes")
	count(hashes) > 0
	not evidence.text(item, "sha256") in hashes
}

share := (count(served) - count(missing)) / count(served) if count(served) > 0

passed if {
	count(evidence.boms) > 0
	every bom in evidence.boms {
		bom.problems == []
	}
	share >= data.expected.sbom.complete
	count(other) == 0
}

names(packages) := concat(", ", array.slice(sort([concat("", [evidence.text(item, "name"), " ", evidence.text(item, "version")]) | some item in packages]), 0, 5))

refused contains {"about": evidence.digest, "said": "there is no verified SBOM to look at", "mend": "see the rule identity"} if {
	count(evidence.boms) == 0
}

refused contains {"about": evidence.text(bom, "digest"), "said": said, "mend": "chainlab sbom check FILE"} if {
	some bom in evidence.boms
	not bom.problems == []
	said := concat("", ["the ", evidence.text(bom, "kind"), " is not valid CycloneDX: ", concat("; ", array.slice(evidence.entries(bom, "problems"), 0, 3))])
}

refused contains {"about": evidence.digest, "said": "nothing says what was installed: how complete the SBOM is, is unknown", "mend": "let the jobs install from the index"} if {
	count(served) == 0
}

refused contains {"about": evidence.digest, "said": said, "mend": "list what was installed: chainlab sbom build"} if {
	share < data.expected.sbom.complete
	said := concat("", [sprintf("%d", [count(missing)]), " of ", sprintf("%d", [count(served)]), " packages that were installed are not listed: ", names(missing)])
}

refused contains {"about": evidence.text(item, "sha256"), "said": said, "mend": "find out which of the two was installed"} if {
	some item in other
	said := concat("", [evidence.text(item, "name"), " ", evidence.text(item, "version"), " is listed with other bytes than were installed"])
}

default note := "nothing was served"

note := sprintf("%d of %d installed packages are listed", [count(served) - count(missing), count(served)])

verdict := {"passed": passed, "refused": refused, "note": note}
