# The machine goes down with deliveries under way, and comes up again.

before_reboot() {
    receive_no_more billing
    make_load reboot 100
    wait "$load"
    equal "events are acknowledged before the reboot" 100 "$(acknowledged reboot | wc -l)"
    acknowledged reboot >before
}

after_reboot() {
    check "after the reboot the service is there" await 180 up
    equal "and its sockets" "active active" \
        "$(property ActiveState postrider.socket) $(property ActiveState postrider-admin.socket)"
    receive billing 8400 /etc/postrider/secrets/billing
    arrived() { [ -z "$(distinct billing | comm -23 before -)" ]; }
    check "all that waited is delivered" await 120 arrived
    opened() { journalctl -q -b -o json POSTRIDER_EVENT=store.opened; }
    clean() { opened | grep -q '"POSTRIDER_CLEAN":"true"'; }
    check "the stop before was clean" clean
    check "a submission is accepted" accepted teller order.created after-reboot
}
