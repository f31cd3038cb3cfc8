# What the checks share.

INGEST=/run/postrider/ingest.sock
UNIT=postrider.service
DROP_INS=/etc/systemd/system/postrider.service.d
CONFIG=/etc/postrider/config.toml

# check WHAT COMMAND...: it must succeed; its output is shown if it does not
check() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        pass "$what"
    else
        fail "$what"
        printf '%s\n' "$output" | tail -n 8 | sed 's/^/      | /'
    fi
}

# equal WHAT EXPECTED GOT
equal() {
    if [ "$2" = "$3" ]; then pass "$1"; else fail "$1: \"$3\" and not \"$2\""; fi
}

# property NAME [UNIT]
property() { systemctl show -p "$1" --value "${2:-$UNIT}"; }
# is NAME VALUE [UNIT]
is() { [ "$(property "$1" "${3:-}")" = "$2" ]; }
not() { ! "$@"; }
main_pid() { property MainPID; }
up() { is ActiveState active; }
restarted_from() { up && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }

# drop_in NAME: a drop-in of the service from stdin; empty, it is taken away
drop_in() {
    mkdir -p $DROP_INS
    cat >"$DROP_INS/$1.conf"
    [ -s "$DROP_INS/$1.conf" ] || rm "$DROP_INS/$1.conf"
    systemctl daemon-reload
}

# submit USER TYPE KEY [TEXT]: writes the status of the answer, then its body
submit() {
    runuser -u "$1" -- curl -sS --max-time 60 --unix-socket $INGEST -o "/tmp/answer.$1" \
        -w '%{http_code} ' -H 'Content-Type: application/json' -H "Idempotency-Key: $3" \
        --data-binary @- "http://localhost/v1/events/$2" <<<"${4:-{\"key\":\"$3\"\}}" &&
        cat "/tmp/answer.$1"
}
accepted() { [[ "$(submit "$@")" == 202* ]]; }

# mark: from here on; since_mark FIELD=VALUE...: what has been said since then
mark() { marked=$(date +%s.%6N); }
since_mark() {
    journalctl --sync
    journalctl -q -o json --since="@$marked" "$@"
}
event_said() { since_mark _SYSTEMD_UNIT=$UNIT "POSTRIDER_EVENT=$1" | grep -q .; }
systemd_said() { since_mark UNIT=$UNIT _PID=1 | grep -q "$1"; }

# api PATH: what the daemon says of itself; a start of the whole program costs far more here
api() { curl -sS --fail --max-time 20 --unix-socket /run/postrider/admin.sock "http://localhost$1"; }
# api_says PATH TEXT
api_says() { api "$1" | grep -q "$2"; }

# receive NAME PORT SECRET_FILE OPTION...: a receiver that writes a line for each request
receive() {
    rm -f "/run/received.$1"
    systemd-run --quiet --collect --unit="receiver-$1" -p "StandardOutput=append:/run/received.$1" \
        postrider listen "127.0.0.1:$2" --json --secret-file "$3" "${@:4}"
    await 30 listening "$2"
}
receive_no_more() { systemctl stop "receiver-$1"; }
listening() { curl -s -o /dev/null "http://127.0.0.1:$1/" || [ $? -ne 7 ]; }
# received NAME TEXT: whether a request with this text in its line has come
received() { grep -q "$2" "/run/received.$1"; }
all_received() { [ "$(distinct "$1" | wc -l)" -ge "$2" ]; }
# the ids of what was delivered, each once
distinct() { sed -n 's/.*"id":"\(evt_[^"]*\)".*"signature":"ok".*/\1/p' "/run/received.$1" | sort -u; }

# make_load NAME N: in the background, N submissions over few connections, in the order of their
# keys; the answers are in /run/load.NAME
make_load() {
    local number
    for ((number = 0; number < $2; number++)); do
        printf 'unix-socket = "%s"\nurl = "http://localhost/v1/events/load.%s"\n' $INGEST "$1"
        printf 'header = "Idempotency-Key: %s-%s"\n' "$1" "$number"
        printf 'data = "%s-%s"\nwrite-out = "\\n"\nsilent\nmax-time = 90\nnext\n' "$1" "$number"
    done | sed '$d' >"/run/load.$1.curl"
    curl --no-progress-meter -K "/run/load.$1.curl" >"/run/load.$1" 2>"/run/load.$1.errors" &
    load=$!
}
# the events that were acknowledged, by their answers
acknowledged() { sed -n 's/.*"id":"\(evt_[^"]*\)".*/\1/p' "/run/load.$1" | sort -u; }
acknowledged_are() { [ "$(acknowledged "$1" | wc -l)" -ge "$2" ]; }
# lost NAME: acknowledged events that the daemon does not know
lost() {
    postrider event list --type "load.$1" --all -o id | sort -u >"/run/load.$1.there"
    acknowledged "$1" | comm -23 - "/run/load.$1.there"
}

# under_load NAME N COMMAND...: the command, while events are submitted
under_load() {
    local pid
    make_load "$1" "$2"
    check "$1: load begins" await 60 acknowledged_are "$1" 20
    pid=$(main_pid)
    check "$1: ${*:3}" "${@:3}"
    check "$1: another process serves" await 60 restarted_from "$pid"
    wait "$load"
    local count
    count=$(acknowledged "$1" | wc -l)
    echo "      $count of $2 acknowledged; $(sort "/run/load.$1.errors" | uniq -c | head -n 3 | xargs)"
    check "$1: it was acknowledged before and after" [ "$count" -gt $(($2 / 2)) ]
    equal "$1: nothing that was acknowledged is lost" "" "$(lost "$1")"
    arrived() { [ -z "$(acknowledged "$1" | comm -23 - <(distinct billing))" ]; }
    check "$1: all of it is delivered, with good signatures" await 90 arrived "$1"
}
