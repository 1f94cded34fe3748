# What the action does. Every value comes through the environment: none is part of this text.
set -euo pipefail
export GIT_TERMINAL_PROMPT=0 # nobody is there to answer

fail() {
  echo "::error::checkout: $1"
  exit 1
}

repository=${REPOSITORY:-$GITHUB_REPOSITORY}
[[ $repository =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] || fail "not a repository: $repository"
repository=$(printf %s "$repository" | tr '[:upper:]' '[:lower:]')
[[ $DEPTH =~ ^[0-9]+$ ]] || fail "fetch-depth is no number: $DEPTH"
case "/$FOLDER/" in */../*) fail "path leads out of the workspace: $FOLDER" ;; esac

ref=$REF
commit=
if [[ -z $ref && $repository == "$GITHUB_REPOSITORY" ]]; then
  ref=$GITHUB_REF
  commit=$GITHUB_SHA
elif [[ $ref =~ ^[0-9a-f]{40}$ ]]; then
  commit=$ref
fi

folder=$GITHUB_WORKSPACE/$FOLDER
mkdir -p "$folder"
cd "$folder"
if [[ $CLEAN == true ]]; then
  find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +
fi

git init --quiet --initial-branch=main .
git remote remove origin 2>/dev/null || true
git remote add origin "$CHAINLAB_URL/git/$repository"
header="http.$CHAINLAB_URL/.extraheader"
if [[ -n $TOKEN ]]; then
  git config --local --unset-all "$header" || true
  printf '[http "%s/"]\n\textraheader = AUTHORIZATION: basic %s\n' "$CHAINLAB_URL" \
    "$(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\n')" >>.git/config
fi

fetch() {
  local options=(--quiet --no-tags --prune --force)
  if [[ $TAGS == true ]]; then options=(--quiet --tags --prune --force); fi
  if [[ $DEPTH != 0 ]]; then options+=("--depth=$DEPTH"); fi
  git fetch "${options[@]}" origin "$@"
}

if [[ $DEPTH == 0 ]]; then
  fetch '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
fi
if [[ -n $commit ]]; then
  fetch "+$commit:refs/checkout/head"
elif [[ -z $ref ]]; then
  fetch '+HEAD:refs/checkout/head'
elif [[ $ref == refs/* ]]; then
  fetch "+$ref:refs/checkout/head"
else
  fetch "+refs/heads/$ref:refs/checkout/head" 2>/dev/null && ref=refs/heads/$ref \
    || { fetch "+refs/tags/$ref:refs/checkout/head" && ref=refs/tags/$ref; } \
    || fail "$repository has no branch or tag $ref"
fi
commit=$(git rev-parse --verify --quiet 'refs/checkout/head^{commit}')
case $ref in
  refs/heads/*)
    branch=${ref#refs/heads/}
    git update-ref "refs/remotes/origin/$branch" "$commit"
    git checkout --quiet --force -B "$branch" "refs/remotes/origin/$branch" -- 2>/dev/null \
      || git checkout --quiet --force --detach "$commit"
    ;;
  refs/tags/*)
    git rev-parse --quiet --verify "$ref" >/dev/null || git update-ref "$ref" refs/checkout/head
    git checkout --quiet --force --detach "$commit"
    ;;
  *) git checkout --quiet --force --detach "$commit" ;;
esac
git update-ref -d refs/checkout/head

if [[ $PERSIST != true && -n $TOKEN ]]; then
  git config --local --unset-all "$header"
fi
{
  echo "ref=$ref"
  echo "commit=$commit"
} >>"$GITHUB_OUTPUT"
echo "$repository at $commit"
