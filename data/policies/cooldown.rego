# cooldown — a dependency is used only when its file has been public for some days.
#
# Facts: now; packages[].{name, version, file, uploaded, upstream}, from provenance and index; seconds since 1970.
# Expected: cooldown.{days, own}.
# The time is the index's, not the file's own. Our own packages are exempt when our own index holds them: by its name
# alone anybody's package could claim to be ours.
# Undefined never passes: an unknown age is no old age, and a list of packages has to be there.

package chainlab.rules.cooldown

import rego.v1

import data.chainlab.evidence

default passed := false

packages := evidence.entries(input, "packages")

now := evidence.number(input, "now")

is_own(package) if {
	package.upstream == false
	some start in data.expected.cooldown.own
	startswith(evidence.text(package, "name"), start)
}

age(package) := (now - package.uploaded) / 86400 if {
	now > 0
	is_number(package.uploaded)
	package.uploaded > 0
}

is_old(package) if age(package) >= data.expected.cooldown.days

is_fine(package) if is_own(package)

is_fine(package) if is_old(package)

passed if {
	count(evidence.builds) > 0
	is_array(input.packages)
	every package in packages {
		is_fine(package)
	}
}

about(package) := sprintf("%s %s", [evidence.text(package, "name"), evidence.text(package, "version")])

refused contains {"about": about(package), "said": said, "mend": "wait, or take an older version"} if {
	some package in packages
	not is_fine(package)
	said := sprintf("%s was uploaded %d days ago, expected at least %v", [
		about(package), floor(age(package)), data.expected.cooldown.days,
	])
}

refused contains {"about": about(package), "said": said, "mend": "take it from an index that states when it was uploaded"} if {
	some package in packages
	not is_own(package)
	not age(package)
	said := sprintf("the age of %s is unknown", [about(package)])
}

refused contains {"about": evidence.digest, "said": "no provenance of this release says what was installed", "mend": "see the rules identity and provenance"} if {
	count(evidence.builds) == 0
}

refused contains {"about": evidence.digest, "said": "there is no list of packages", "mend": "see the rules identity and provenance"} if {
	not is_array(input.packages)
}

note := sprintf("%d packages, none too new", [count(packages)])

verdict := {"passed": passed, "refused": refused, "note": note}
