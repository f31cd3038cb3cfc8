# Stop, restart, kill, and a start that cannot be.

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

began=$(milliseconds)
systemctl --quiet stop $UNIT
took=$(($(milliseconds) - began))
check "idle, it stops without waiting for anything ($took ms)" [ $took -le 15000 ]
equal "and well" "success 0" "$(property Result) $(property ExecMainStatus)"

receive_no_more billing
receive billing 8400 /etc/postrider/secrets/billing --delay 4s
systemctl start $UNIT
check "an event for a slow receiver" accepted teller order.slow slow
check "its delivery is under way" await 30 received billing '"type":"order.slow"'
mark
systemctl --quiet stop $UNIT
equal "a stop waits for it" "success 0" "$(property Result) $(property ExecMainStatus)"
check "says that it drains" event_said daemon.draining
left_none() {
    since_mark POSTRIDER_EVENT=daemon.stopped | grep -q '"POSTRIDER_IN_FLIGHT_ABANDONED":"0"'
}
check "and leaves none behind" left_none
systemctl start $UNIT
check "it was settled before the stop" \
    api_says "/v1/deliveries?state=delivered&endpoint=billing" order.slow
equal "it was sent once" 1 "$(grep -c '"type":"order.slow"' /run/received.billing)"
receive_no_more billing
receive billing 8400 /etc/postrider/secrets/billing

under_load restart 200 systemctl restart $UNIT
mark
under_load kill 200 systemctl kill --signal=KILL --kill-who=main $UNIT
equal "systemd counts a restart" 1 "$(property NRestarts)"

cp $CONFIG /tmp/good.toml
echo 'max_pending = "lots"' >>$CONFIG
mark
check "a start with a mistake in the configuration fails" not systemctl restart $UNIT
equal "with the status for it" "78 exit-code" "$(property ExecMainStatus) $(property Result)"
equal "and is not tried again" "failed failed 0" \
    "$(property ActiveState) $(property SubState) $(property NRestarts)"
said_place() { since_mark _SYSTEMD_UNIT=$UNIT | grep -q 'config.toml:[0-9]*:[0-9]*'; }
check "the journal says where the mistake is" said_place
# Who connects has systemd try again, at once and until it gives up; then the sockets are closed.
submit teller order.created misled >/dev/null 2>&1
check "a client that connects makes systemd try again, but not for ever" \
    await 120 is Result service-start-limit-hit postrider.socket
check "the service has failed" is ActiveState failed
cp /tmp/good.toml $CONFIG
check "mended, it starts" bash -ec "systemctl reset-failed 'postrider*'; systemctl start $UNIT"
check "and takes events" accepted teller order.created mended
