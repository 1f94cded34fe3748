source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ${SAVE_LATER:-} == true && -n ${CHAINLAB_POST:-} ]]; then
  # Runs after the job's last step. It is whole in itself: this folder may be gone by then.
  mkdir -p "$CHAINLAB_POST"
  number=$(find "$CHAINLAB_POST" -name '*.sh' | wc -l)
  post=$CHAINLAB_POST/$(printf '%04d-cache.sh' "$number")
fi

roots=$(roots)
trap 'rm -rf "$roots"' EXIT
query="version=$(version)&key=$(encoded "$CACHE_KEY")"
while IFS= read -r key; do
  query="$query&key=$(encoded "$key")"
done < <(lines "${RESTORE_KEYS:-}")

method=GET
if [[ ${LOOKUP_ONLY:-} == true ]]; then method=HEAD; fi
ask "$roots/answer" $([[ $method == HEAD ]] && echo --head) "${ACTIONS_CACHE_URL}entry?$query" || true
status=$(cat "$roots/answer")
hit=
matched=
case $status in
  200)
    matched=$(tr -d '\r' <"$roots/answer.head" | sed -n 's/^[Xx]-[Cc]ache-[Kk]ey: //p')
    hit=false
    if [[ $matched == "$CACHE_KEY" ]]; then hit=true; fi
    if [[ $method == GET ]]; then
      tar -xPf "$roots/answer.body" -C "$roots"
    fi
    echo "Cache restored from key: $matched"
    ;;
  204 | 404) echo "Cache not found for input keys: $CACHE_KEY" ;;
  *) echo "::warning::cache: restoring failed ($status): $(head -c 300 "$roots/answer.body" 2>/dev/null)" ;;
esac
{
  echo "cache-hit=$hit"
  echo "cache-matched-key=$matched"
} >>"$GITHUB_OUTPUT"
if [[ -z $matched && ${FAIL_ON_MISS:-} == true ]]; then
  echo "::error::cache: no entry for $CACHE_KEY"
  exit 1
fi

if [[ -n ${post:-} && $hit != true ]]; then
  {
    printf '#!/usr/bin/env bash\n'
    printf 'CACHE_KEY=%q\nCACHE_PATHS=%q\n' "$CACHE_KEY" "$CACHE_PATHS"
    printf 'GITHUB_WORKSPACE=%q\n' "$GITHUB_WORKSPACE" # after the steps nobody says it
    cat "$(dirname "${BASH_SOURCE[0]}")/common.sh"
    sed '/^source /d' "$(dirname "${BASH_SOURCE[0]}")/save.sh"
  } >"$post"
  chmod +x "$post"
fi
