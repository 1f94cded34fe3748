# What the action does. Every value comes through the environment: none is part of this text.
set -euo pipefail
shopt -s nullglob

fail() {
  echo "::error::pypi-publish: $1"
  exit 1
}

member() { # a text member of a flat JSON object on standard input
  sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"\\\\]*\)\".*/\1/p" | head -n 1
}

ask() {
  curl --silent --show-error --noproxy '*' --max-time 60 "$@"
}

cd "$GITHUB_WORKSPACE"
url=${PUBLISH_URL:-$TWINE_REPOSITORY_URL}
files=("$PACKAGES"/*.whl "$PACKAGES"/*.tar.gz)
[[ ${#files[@]} -gt 0 ]] || fail "there are no distributions in $PACKAGES"
[[ $VERIFY_METADATA != true ]] || twine check "${files[@]}"
[[ $PRINT_HASH != true ]] || python -I -c 'import hashlib, sys
for name in sys.argv[1:]: print(hashlib.sha256(open(name, "rb").read()).hexdigest(), name)' "${files[@]}"

# verbose, because only then twine shows why an index refuses
options=(--non-interactive --disable-progress-bar --verbose --repository-url "$url")
[[ $SKIP_EXISTING != true ]] || options+=(--skip-existing)

if [[ -z $PUBLISH_PASSWORD ]]; then
  # Trusted publishing: the job's identity in exchange for a token that may upload for some minutes.
  [[ -n ${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-} ]] \
    || fail "no password, and no identity: trusted publishing needs the permission id-token: write"
  index=${url%/legacy*}
  audience=$(ask "$index/_/oidc/audience" | member audience)
  identity=$(ask --header @<(printf 'Authorization: Bearer %s\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN") \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$audience" | member value)
  [[ -n $identity ]] || fail "the platform gave no identity token"
  answer=$(printf '{"token": "%s"}' "$identity" \
    | ask --header 'Content-Type: application/json' --data @- "$index/_/oidc/mint-token")
  PUBLISH_PASSWORD=$(printf %s "$answer" | tr -d '\n' | member token)
  [[ -n $PUBLISH_PASSWORD ]] || fail "the index refused the exchange: ${answer:0:400}"
  echo "::add-mask::$PUBLISH_PASSWORD"
  PUBLISH_USER=__token__
  if [[ $ATTESTATIONS == true ]]; then
    chainlab-python -I "$GITHUB_ACTION_PATH/attest.py" "${files[@]}"
    options+=(--attestations)
    for file in "${files[@]}"; do files+=("$file.publish.attestation"); done
  fi
elif [[ $ATTESTATIONS == true ]]; then
  echo "::notice::pypi-publish: with a password nothing is signed; trusted publishing signs"
fi

TWINE_USERNAME=$PUBLISH_USER TWINE_PASSWORD=$PUBLISH_PASSWORD twine upload "${options[@]}" "${files[@]}"
