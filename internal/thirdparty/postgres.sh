#!/bin/sh
# Runs a command beside a throw-away PostgreSQL.
#
#   internal/thirdparty/postgres.sh go test -tags postgres ./internal/store/...
#
# The command finds the server's URL in $DEPUTY_POSTGRES_URL, with a user and a
# password made up for this run. The server listens on 127.0.0.1 alone, on a
# free port, keeps its data in a temporary folder and ends with the command.
# Needs initdb of PostgreSQL 15 or newer, in $PGBIN, in the path or where
# Debian puts it. Root may start it: the server then runs as the user postgres.
set -eu

fail() { echo "postgres.sh: $*" >&2; exit 1; }
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }

bin=${PGBIN:-}
if [ -z "$bin" ]; then
	for candidate in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V); do
		[ ! -x "$candidate/initdb" ] || bin=$candidate # the newest is taken
	done
	[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || echo /nowhere/initdb)")
fi
[ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] || fail "PostgreSQL is not installed (apt-get install postgresql-15), or set PGBIN"
major=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
[ "$major" -ge 15 ] || fail "$bin is of PostgreSQL $major: want 15 or newer"

work=$(mktemp -d)
server=
command=
finish() {
	status=$?
	trap - EXIT INT TERM
	[ -z "$command" ] || { kill "$command" 2>/dev/null && wait "$command" 2>/dev/null || :; }
	[ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" 2>/dev/null || :; } # a fast shutdown
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL refuses to run as root.
as=
if [ "$(id -u)" = 0 ]; then
	chown postgres "$work" || fail "there is no user postgres to run the server as"
	as="setpriv --reuid=postgres --regid=postgres --init-groups"
fi
# In hexadecimal, so that it needs no escaping in a URL.
password=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
(umask 077 && printf %s "$password" >"$work/password")
[ -z "$as" ] || chown postgres "$work/password"
(cd "$work" && $as "$bin/initdb" -D "$work/data" -U deputy -A scram-sha-256 --pwfile="$work/password" -E UTF8 --locale=C >"$work/initdb.log" 2>&1) ||
	{ cat "$work/initdb.log" >&2; fail "initdb failed"; }

# A free port, tried: somebody else may take it first.
for _ in 1 2 3 4 5; do
	port=$((20000 + $(od -An -tu2 -N2 /dev/urandom) % 12000))
	(cd "$work" && exec $as "$bin/postgres" -D "$work/data" -p "$port" \
		-c listen_addresses=127.0.0.1 -c unix_socket_directories="$work" -c max_connections=60) >"$work/log" 2>&1 &
	server=$!
	for _ in $(seq 100); do
		kill -0 "$server" 2>/dev/null || break
		"$bin/pg_isready" -q -h "$work" -p "$port" && break 2
		sleep 0.1
	done
	kill -INT "$server" 2>/dev/null || :
	wait "$server" 2>/dev/null || :
	server=
done
[ -n "$server" ] || { cat "$work/log" >&2; fail "the server did not start"; }

export DEPUTY_POSTGRES_URL="postgres://deputy:$password@127.0.0.1:$port/postgres?sslmode=disable"
# In the background, so that a signal to this script is not kept waiting.
"$@" &
command=$!
status=0
wait "$command" || status=$?
command=
exit "$status"
