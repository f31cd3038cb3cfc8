# The package from its installation to its end: upgraded, removed, installed again, purged.

version() { dpkg-query -W -f '${Version}' postrider; }
state() { dpkg-query -W -f '${db:Status-Status}' postrider 2>/dev/null || echo none; }
enabled() { systemctl is-enabled $UNIT postrider.socket postrider-admin.socket 2>&1 | xargs; }

check "all files are there as they were packed" dpkg --verify postrider
for name in postrider.1 postrider-event-list.1 postrider.toml.5; do
    check "there is a page $name" gzip -t "/usr/share/man/man${name##*.}/$name.gz"
done
equal "the configuration is a conffile" /etc/postrider/config.toml \
    "$(dpkg-query -W -f '${Conffiles}' postrider | awk '{ print $1 }' | xargs)"
# check 3 has changed it
sum=$(sha256sum <$CONFIG)

first=$(version)
under_load upgrade 200 dpkg --install next.deb
check "it is a higher version" dpkg --compare-versions "$(version)" gt "$first"
equal "the configuration is as it was" "$sum" "$(sha256sum <$CONFIG)"
equal "the units are enabled" "enabled enabled enabled" "$(enabled)"

systemctl --quiet disable --now $UNIT postrider.socket postrider-admin.socket
check "the same again, while a person has it disabled" dpkg --install next.deb
equal "it stays disabled" "disabled disabled disabled" "$(enabled)"
equal "and stopped" "inactive inactive inactive" \
    "$(systemctl is-active $UNIT postrider.socket postrider-admin.socket | xargs)"
systemctl --quiet enable --now $UNIT postrider.socket postrider-admin.socket

receive_no_more billing
make_load kept 50
wait "$load"
equal "events are acknowledged before the removal" 50 "$(acknowledged kept | wc -l)"
mark
check "it is removed" dpkg --remove postrider
equal "dpkg knows of its configuration" config-files "$(state)"
check "its end was clean" event_said daemon.stopped
check "nothing runs" not grep -qs "^Uid:[[:space:]]$(id -u postrider)" /proc/[0-9]*/status
check "its sockets are gone" not test -e /run/postrider
check "its program is gone" not test -e /usr/bin/postrider
check "its units are gone" not systemctl cat $UNIT
equal "the configuration stays" "$sum" "$(sha256sum <$CONFIG)"
check "the store stays" test -d /var/lib/postrider/outbox

check "it is installed again" dpkg --install first.deb
check "it is active" up
equal "its sockets are active" "active active" \
    "$(property ActiveState postrider.socket) $(property ActiveState postrider-admin.socket)"
for name in upgrade kept; do
    equal "no event of load.$name is lost" "" "$(lost $name)"
done
receive billing 8400 /etc/postrider/secrets/billing
arrived() { [ -z "$(acknowledged kept | comm -23 - <(distinct billing))" ]; }
check "what waited is delivered" await 90 arrived
receive_no_more billing

# drop-ins are a person's own
rm -r $DROP_INS
check "it is purged" dpkg --purge postrider
equal "dpkg knows nothing of it" none "$(state)"
# what the checks themselves brought is left out
left() {
    find / -xdev \( -path /srv/tested -o -path /proc -o -path /var/log \) -prune -o \
        -iname '*postrider*' -print
}
equal "no file of it is left" "" "$(left | xargs)"
check "its user stays" getent passwd postrider
check "and its groups" getent group postrider-submit postrider-admin
