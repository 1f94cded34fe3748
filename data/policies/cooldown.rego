# cooldown — a dependency is used only when its file has been public for some days.
#
# Facts: now; packages[].{id, uploaded, upstream, owner}, from provenance and index; seconds since 1970.
# Expected: cooldown.{days, own}.
# The time is the index's, not the file's own. Our own packages are exempt: those whose project in our own index belongs
# to us. Their names do not count, because anybody may register a name.
# Undefined never passes: an unknown age refuses, and there has to be a list of packages.

package chainlab.rules.cooldown

import rego.v1

import data.chainlab.evidence

default passed := false

packages := evidence.entries(input, "packages")

now := evidence.number(input, "now")

# A rule of its own: engines differ in how they read a call inside `not` when a value is missing.
is_listed if is_array(input.packages)

is_own(item) if {
	item.upstream == false
	is_string(item.owner)
	item.owner in data.expected.cooldown.own
}

age(item) := (now - item.uploaded) / 86400 if {
	now > 0
	is_number(item.uploaded)
	item.uploaded > 0
}

is_old(item) if age(item) >= data.expected.cooldown.days

is_fine(item) if is_own(item)

is_fine(item) if is_old(item)

passed if {
	count(evidence.builds) > 0
	is_listed
	every item in packages {
		is_fine(item)
	}
}

about(item) := evidence.text(item, "id")

refused contains {"about": about(item), "message": message, "hint": "wait, or take an older version"} if {
	some item in packages
	not is_fine(item)
	message := concat("", [about(item), " was uploaded ", sprintf("%d", [floor(age(item))]), " days ago, expected at least ", sprintf("%v", [data.expected.cooldown.days])])
}

refused contains {"about": about(item), "message": message, "hint": "take it from an index that states when it was uploaded"} if {
	some item in packages
	not is_own(item)
	not age(item)
	message := concat("", ["the age of ", about(item), " is unknown"])
}

refused contains {"about": evidence.digest, "message": "no provenance of this release says what was installed", "hint": "see the rules identity and provenance"} if {
	count(evidence.builds) == 0
}

refused contains {"about": evidence.digest, "message": "there is no list of packages", "hint": "see the rules identity and provenance"} if {
	not is_listed
}

note := sprintf("%d packages, none too new", [count(packages)])

verdict := {"passed": passed, "refused": refused, "note": note}
