# What the action does. Every value comes through the environment: none is part of this text.
set -euo pipefail
shopt -s nullglob
shopt -s globstar 2>/dev/null || true # bash 3 has no **
if [[ $HIDDEN == true ]]; then shopt -s dotglob; fi

fail() {
  echo "::error::upload-artifact: $1"
  exit 1
}

[[ -n $NAME && $NAME != *[$'"<>|*?:\\/\r\n']* ]] || fail "not a name for an artifact: $NAME"
work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/upload.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$GITHUB_WORKSPACE"

expand() { # the existing paths that a pattern names, each on a line
  local IFS=
  local path
  for path in $1; do # expands patterns; IFS is empty, so nothing else splits
    if [[ -e $path ]]; then printf '%s\n' "${path%/}"; fi
  done
}

ancestor= # the deepest folder that holds everything: names in the artifact begin below it
narrow() {
  local folder=$1
  if [[ -z $ancestor ]]; then
    ancestor=$folder
  fi
  while [[ $folder/ != "$ancestor"/* ]]; do
    ancestor=$(dirname "$ancestor")
  done
}

touch "$work/in" "$work/out"
while IFS= read -r line; do
  line=$(printf %s "$line" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//')
  [[ -n $line ]] || continue
  list=$work/in
  if [[ $line == '!'* ]]; then
    list=$work/out
    line=${line#!}
  fi
  case $line in . | ./) line=$GITHUB_WORKSPACE ;; "~/"*) line=$HOME/${line#"~/"} ;; /*) ;; *) line=$GITHUB_WORKSPACE/${line#./} ;; esac
  line=${line%/}
  if [[ $list == "$work/in" ]]; then
    top=${line%%[*?[]*}
    if [[ $top != "$line" || ! -d $line ]]; then top=${top%/*}; fi
    narrow "$top"
  fi
  while IFS= read -r found; do
    find "$found" -type f
  done < <(expand "$line") >>"$list"
done < <(printf '%s\n' "$PATHS")

if [[ $HIDDEN != true ]]; then # nothing whose name, or whose folder's name, begins with a dot
  base=$GITHUB_WORKSPACE/
  case $ancestor/ in "$base"*) ;; *) base=$(dirname "$ancestor")/ ;; esac
  while IFS= read -r file; do
    case /${file#"$base"} in */.*) ;; *) printf '%s\n' "$file" ;; esac
  done <"$work/in" >"$work/shown"
  mv "$work/shown" "$work/in"
fi
sort -u "$work/in" | grep -vxF -f <(sort -u "$work/out"; echo /) >"$work/files" || true
count=$(wc -l <"$work/files" | tr -d ' ')
if [[ $count == 0 ]]; then
  case $IF_NONE in
    error) fail "no files were found with the path $PATHS" ;;
    warn) echo "::warning::upload-artifact: no files were found with the path $PATHS" ;;
  esac
  exit 0
fi

(cd "$ancestor" && sed "s|^$(printf %s "$ancestor" | sed 's/[].[*^$|\\]/\\&/g')/|./|" "$work/files" >"$work/names" \
  && tar -cf "$work/artifact.tar" -T "$work/names")
status=$(curl --silent --show-error --noproxy '*' --max-time 300 --output "$work/answer" --write-out '%{http_code}' \
  --header @<(printf 'Authorization: Bearer %s\n' "$ACTIONS_RUNTIME_TOKEN") \
  --upload-file "$work/artifact.tar" \
  "${ACTIONS_RESULTS_URL}$GITHUB_RUN_ID/$(printf %s "$NAME" | sed -e 's/%/%25/g' -e 's/ /%20/g' -e 's/#/%23/g')?overwrite=$OVERWRITE") || true
[[ $status == 201 ]] || fail "not uploaded ($status): $(head -c 300 "$work/answer" 2>/dev/null)"
cat "$work/answer" >>"$GITHUB_OUTPUT"
echo "Artifact $NAME: $count files"
