# What the action does. Every value comes through the environment: none is part of this text.
set -euo pipefail

fail() {
  echo "::error::download-artifact: $1"
  exit 1
}

work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$GITHUB_WORKSPACE"
case $FOLDER in "~/"*) FOLDER=$HOME/${FOLDER#"~/"} ;; esac
mkdir -p "$FOLDER"

ask() {
  curl --silent --show-error --noproxy '*' --max-time 300 --output "$work/answer" --write-out '%{http_code}' \
    --header @<(printf 'Authorization: Bearer %s\n' "$ACTIONS_RUNTIME_TOKEN") \
    "${ACTIONS_RESULTS_URL}$GITHUB_RUN_ID$1" || true
}

fetch() { # fetch NAME FOLDER
  local status
  status=$(ask "/$(printf %s "$1" | sed -e 's/%/%25/g' -e 's/ /%20/g' -e 's/#/%23/g')")
  [[ $status == 200 ]] || fail "artifact $1 ($status): $(head -c 300 "$work/answer" 2>/dev/null)"
  mkdir -p "$2"
  tar -xf "$work/answer" -C "$2"
  echo "Artifact $1 is in $2"
}

if [[ -n $NAME ]]; then
  fetch "$NAME" "$FOLDER"
else
  status=$(ask "")
  [[ $status == 200 ]] || fail "no list of artifacts ($status): $(head -c 300 "$work/answer" 2>/dev/null)"
  cp "$work/answer" "$work/names"
  while IFS= read -r name; do
    # shellcheck disable=SC2053 # the right side is a pattern
    [[ $name == $PATTERN ]] || continue
    if [[ $MERGE == true ]]; then fetch "$name" "$FOLDER"; else fetch "$name" "$FOLDER/$name"; fi
  done <"$work/names"
fi
echo "download-path=$(cd "$FOLDER" && pwd)" >>"$GITHUB_OUTPUT"
