# A process that stands still is killed and started again, and keeps what it acknowledged.

drop_in 60-watchdog <<'END'
[Service]
WatchdogSec=8
END
systemctl restart $UNIT
check "the watchdog is shorter for this" is WatchdogUSec 8s
make_load dog 100
wait "$load"
equal "events are acknowledged" 100 "$(acknowledged dog | wc -l)"
pid=$(main_pid)
mark
began=$SECONDS
kill -STOP "$pid"
submit teller order.created waits >/run/waits 2>&1 &
waits=$!
check "it is restarted" await 60 restarted_from "$pid"
took=$((SECONDS - began))
echo "      active again after $took s"
check "within the watchdog's time, and what a start takes" [ $took -le 25 ]
check "by the watchdog" systemd_said 'Watchdog timeout'
wait $waits
check "who called meanwhile gets its 202" grep -q '^202' /run/waits
equal "nothing that was acknowledged is lost" "" "$(lost dog)"
drop_in 60-watchdog </dev/null
systemctl restart $UNIT
check "the watchdog is as it was" is WatchdogUSec 30s
