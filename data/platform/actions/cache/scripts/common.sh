# Shared by restore.sh and save.sh. Every value comes through the environment.
set -euo pipefail

encoded() { # percent-encoding, byte by byte
  local LC_ALL=C text=$1 i character
  for ((i = 0; i < ${#text}; i++)); do
    character=${text:i:1}
    case $character in
      [a-zA-Z0-9._~-]) printf %s "$character" ;;
      *) printf '%%%02X' "$(($(printf %d "'$character") & 255))" ;;
    esac
  done
}

lines() { # the lines of a text without blanks around them, empty ones left out
  printf '%s\n' "$1" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d'
}

# An entry is for these paths alone: the same key with other paths is another entry.
version() {
  lines "$CACHE_PATHS" | git hash-object --stdin
}

# Entries hold `home/…` and `workspace/…`, which here are links to the job's own directories.
roots() {
  local roots
  roots=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/cache.XXXXXX")
  ln -s "$HOME" "$roots/home"
  ln -s "$GITHUB_WORKSPACE" "$roots/workspace"
  printf %s "$roots"
}

ask() { # ask STATUS-FILE curl-arguments…; the header is a file, for every user may read a command line
  local status=$1
  shift
  curl --silent --show-error --noproxy '*' --max-time 300 --output "$status.body" --dump-header "$status.head" \
    --write-out '%{http_code}' --header @<(printf 'Authorization: Bearer %s\n' "$ACTIONS_RUNTIME_TOKEN") "$@" >"$status"
}
