source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# A cache that cannot be saved never fails a job.
roots=$(roots)
trap 'rm -rf "$roots"' EXIT
members=()
while IFS= read -r path; do
  case $path in
    "~") member=home ;;
    "~/"*) member=home/${path#"~/"} ;;
    "$GITHUB_WORKSPACE"/*) member=workspace/${path#"$GITHUB_WORKSPACE/"} ;;
    "$HOME"/*) member=home/${path#"$HOME/"} ;;
    /*)
      echo "::warning::cache: only paths in the home directory and the workspace are kept here: $path"
      continue
      ;;
    *) member=workspace/${path#./} ;;
  esac
  if [[ -e $roots/$member ]]; then members+=("$member"); fi
done < <(lines "$CACHE_PATHS")

if [[ ${#members[@]} == 0 ]]; then
  echo "::warning::cache: none of the paths exists, nothing is saved"
  exit 0
fi
tar -cPf "$roots/entry.tar" -C "$roots" "${members[@]}"
ask "$roots/answer" --upload-file "$roots/entry.tar" \
  "${ACTIONS_CACHE_URL}entry?version=$(version)&key=$(encoded "$CACHE_KEY")" || true
case $(cat "$roots/answer") in
  201) echo "Cache saved with key: $CACHE_KEY" ;;
  409) echo "Cache not saved: there is an entry with key $CACHE_KEY, and an entry never changes" ;;
  *) echo "::warning::cache: not saved ($(cat "$roots/answer")): $(head -c 300 "$roots/answer.body" 2>/dev/null)" ;;
esac
