# A process that stands still is killed and started again, and keeps what it acknowledged.

drop_in 60-watchdog <<'END'
[Service]
WatchdogSec=8
END
systemctl restart $UNIT
equal "the watchdog is shorter for this" 8s "$(property WatchdogUSec)"
make_load dog 50
wait "$load"
equal "events are acknowledged" 50 "$(acknowledged dog | wc -l)"
pid=$(main_pid)
mark
began=$SECONDS
kill -STOP "$pid"
# it waits in the socket's queue; who was taken from there by the process as it died, sends again
{ accepted teller order.created waits || accepted teller order.created waits; } 2>/run/waits &
waits=$!
check "it is missed" await 60 systemd_said 'Watchdog timeout'
check "within twice the watchdog's time" [ $((SECONDS - began)) -le 16 ]
check "it is restarted" await 60 restarted_from "$pid"
echo "      active again $((SECONDS - began)) s after it stood still"
wait $waits
equal "who called meanwhile gets its 202" 0 $?
equal "nothing that was acknowledged is lost" "" "$(lost dog)"
drop_in 60-watchdog </dev/null
