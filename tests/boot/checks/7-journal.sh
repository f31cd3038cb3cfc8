# What the journal keeps of all this: fields to search by, and no secret.

journalctl --sync
events() { journalctl -q -b -u $UNIT -o json "POSTRIDER_EVENT=$1"; }
for event in daemon.starting store.opened daemon.ready daemon.draining daemon.stopped; do
    check "$event can be searched by its field" bash -c "$(declare -f events); UNIT=$UNIT; events $event | grep -q ."
done
check "delivery.interrupted has its count" \
    bash -c "journalctl -q -b -u $UNIT -o json POSTRIDER_EVENT=store.opened | grep -q POSTRIDER_PENDING"
check "the journal knows whose words they are" \
    bash -c "journalctl -q -b -o json POSTRIDER_EVENT=daemon.ready | grep -q '\"_UID\":\"$(id -u postrider)\"'"
journalctl -q -b -o export >/tmp/journal
check "there is a journal" [ "$(wc -c </tmp/journal)" -gt 100000 ]
for name in billing shipping; do
    check "the secret of $name is not in it" not grep -aqF "$(sed 's/^whsec_//' /etc/postrider/secrets/$name)" /tmp/journal
done
check "no payload is in it" not grep -aq payload-of-4711 /tmp/journal
check "no signature is in it" not grep -aq 'v1,[A-Za-z0-9+/]\{20\}' /tmp/journal
check "nothing went wrong that nobody looked for" \
    bash -c "! journalctl -q -b -u $UNIT -o json PRIORITY=3 | grep -a '\"POSTRIDER_EVENT\"'"
