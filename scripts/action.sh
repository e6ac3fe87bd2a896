#!/usr/bin/env bash
# The GitHub Action: gets the program, runs it once, hands on what it said. The program's exit code alone decides.
# Written for bash 3.2, which macOS runners have.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/leakreach.XXXXXX")
summary_limit=$((1024 * 1024)) # bytes a step; of a summary that is one byte longer the runner drops all

die() {
  echo "::error title=leakreach::$1"
  if [ $# -gt 1 ]; then echo "hint: $2" >&2; fi
  exit 2
}

# platform sets $os and $arch to the runner's, in Go's words.
platform() {
  case "${RUNNER_OS:-$(uname -s)}" in
    Linux) os=linux ;;
    macOS | Darwin) os=darwin ;;
    Windows | MINGW* | MSYS*) os=windows ;;
    *) die "no release for the system ${RUNNER_OS:-$(uname -s)}" ;;
  esac
  case "${RUNNER_ARCH:-$(uname -m)}" in
    X64 | x86_64 | amd64) arch=amd64 ;;
    ARM64 | arm64 | aarch64) arch=arm64 ;;
    *) die "no release for the processor ${RUNNER_ARCH:-$(uname -m)}" ;;
  esac
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# sum_of VERSION OS ARCH prints the committed checksum, or nothing.
sum_of() {
  awk -v v="$1" -v os="$2" -v arch="$3" '$1 == v && $2 == os && $3 == arch { print $4 }' "$root/action.sums"
}

# program makes the binary and leaves its path in $binary.
program() {
  local os arch own version sum archive url actual
  own=$(awk '$1 == "this" { print $2 }' "$root/action.sums")
  version=${INPUT_VERSION#v}
  version=${version:-$own}
  platform
  sum=$(sum_of "$version" "$os" "$arch")
  binary=$work/leakreach
  if [ "$os" = windows ]; then binary=$binary.exe; fi

  if [ -z "$sum" ] && [ "$version" = "$own" ] && ! grep -q "^$own " "$root/action.sums"; then
    command -v go >/dev/null || die "this commit is not a release and Go is not installed to build it" \
      "pin the action to a release's commit, or run actions/setup-go before it"
    echo "building leakreach from the action's own source"
    (cd "$root" && GOWORK=off GOFLAGS='' CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$binary" ./cmd/leakreach)
    return
  fi
  if [ -z "$sum" ]; then
    die "version ${version//[^0-9A-Za-z.+-]/?} for $os/$arch is not in action.sums" "only releases with a checksum committed beside the action are run"
  fi
  archive=leakreach_${version}_${os}_${arch}.tar.gz
  url=https://github.com/leakreach/leakreach/releases/download/v$version/$archive
  echo "downloading $url"
  curl --fail --silent --show-error --location --proto '=https' --proto-redir '=https' --tlsv1.2 \
    --retry 5 --connect-timeout 20 --max-time 300 --output "$work/$archive" "$url"
  actual=$(sha256 "$work/$archive")
  if [ "$actual" != "$sum" ]; then
    die "$archive has SHA-256 $actual, not the committed $sum" "do not run it; report this: SECURITY.md"
  fi
  (cd "$work" && tar -xzf "$archive" "${binary##*/}") # no path with a drive letter: tar takes it for a host
}

# one_of INPUT VALUE WORD... refuses a value that is not one of the words after it.
one_of() {
  local name=$1 value=$2 word
  shift 2
  for word in "$@"; do
    if [ "$value" = "$word" ]; then return; fi
  done
  die "input $name must be one of: $*"
}

# from_fork tells whether the event is a pull request whose code somebody else may have written. A deleted fork has no name.
from_fork() {
  case "${GITHUB_EVENT_NAME:-}" in
    pull_request*) [ "${HEAD_REPOSITORY:-}" != "${GITHUB_REPOSITORY:-}" ] ;;
    *) false ;;
  esac
}

# count PATTERN... prints how many counting findings have all patterns. A quotation mark inside a JSON string is escaped, so
# these match nothing that was scanned.
count() {
  local pattern lines
  lines=$(grep '^{"type":"finding"' "$work/report.jsonl" | grep -F '"suppressed":null' || true)
  for pattern in "$@"; do
    lines=$(printf '%s\n' "$lines" | grep -E "$pattern" || true)
  done
  printf '%s' "$lines" | grep -c '' || true
}

outputs() {
  if [ ! -s "$work/report.jsonl" ]; then return; fi # it ended before there was anything to report
  local complete=false
  if head -n 1 "$work/report.jsonl" | grep -q '"complete":true'; then complete=true; fi
  {
    echo "findings=$(count)"
    echo "live=$(count '"validity":"active"')"
    echo "admin=$(count '"validity":"active"' '"reach":\{"level":"(admin|escalation)"')"
    echo "complete=$complete"
    echo "report-file=$work/report.json"
    echo "sarif-file=$INPUT_SARIF_FILE"
  } >>"$GITHUB_OUTPUT"
}

summary() {
  local text=$work/summary.md size
  {
    if [ -n "$note" ]; then printf '> %s\n\n' "$note"; fi
    if [ -s "$work/report.md" ]; then cat "$work/report.md"; else echo "leakreach ended with exit code $code before there was a report; see the log."; fi
  } >"$text"
  size=$(($(wc -c <"$text") + $(wc -c <"$GITHUB_STEP_SUMMARY" 2>/dev/null || echo 0)))
  if [ "$size" -gt "$summary_limit" ]; then
    echo "leakreach: the summary is too long for this page; the full report is the output report-file." >"$text"
  fi
  cat "$text" >>"$GITHUB_STEP_SUMMARY"
}

one_of verify "$INPUT_VERIFY" off offline owner live
one_of fail-on "$INPUT_FAIL_ON" none any high live admin
one_of summary "$INPUT_SUMMARY" true false
one_of annotations "$INPUT_ANNOTATIONS" true false
case "$INPUT_SARIF_FILE" in *$'\n'* | *$'\r'*) die "input sarif-file has more than one line" ;; esac

note=
args=()
if from_fork; then
  note='Pull request from a fork: keys were judged offline, and its ignore comments, ignore files, configuration and baseline were not obeyed.'
  args+=(--no-ignores)
  if [ "$INPUT_VERIFY" != off ]; then INPUT_VERIFY=offline; fi
  INPUT_CONFIG=''
  INPUT_BASELINE=''
  echo "$note"
fi
args+=(--verify "$INPUT_VERIFY" --fail-on "$INPUT_FAIL_ON")
if [ -n "$INPUT_CONFIG" ]; then args+=(--config "$INPUT_CONFIG"); fi
if [ -n "$INPUT_BASELINE" ]; then args+=(--baseline "$INPUT_BASELINE"); fi
if [ "$INPUT_ANNOTATIONS" = true ]; then args+=(--annotations); fi
if [ "$INPUT_SUMMARY" = true ]; then args+=(--out "markdown=$work/report.md"); fi
if [ -n "$INPUT_SARIF_FILE" ]; then args+=(--out "sarif=$INPUT_SARIF_FILE"); fi
args+=(--out "json=$work/report.json" --out "jsonl=$work/report.jsonl")
read -r -d '' -a refs <<<"$INPUT_REFS" || true # words, without expanding * and ?
for ref in ${refs[@]+"${refs[@]}"}; do
  # A token goes along only where one is needed: the input, else the environment's, else the job's own.
  case "$ref" in
    github:*) export GH_TOKEN=${INPUT_GITHUB_TOKEN:-${GH_TOKEN:-${GITHUB_TOKEN:-$JOB_TOKEN}}} ;;
    job:) export GITHUB_TOKEN=${GITHUB_TOKEN:-$JOB_TOKEN} ;; # to be asked what it may
  esac
done
unset INPUT_GITHUB_TOKEN JOB_TOKEN

program
code=0
"$binary" scan "${args[@]}" -- ${refs[@]+"${refs[@]}"} </dev/null || code=$?
outputs
if [ "$INPUT_SUMMARY" = true ]; then summary; fi
exit "$code"
