# What the journal keeps of all this: fields to search by, and no secret.

journalctl --sync
events() { journalctl -q -b -u $UNIT -o json "POSTRIDER_EVENT=$1"; }
for event in daemon.starting store.opened daemon.ready daemon.draining daemon.stopped; do
    events $event >/tmp/events
    check "$event can be searched by its field" grep -q "\"POSTRIDER_EVENT\":\"$event\"" /tmp/events
done
events store.opened >/tmp/events
check "what belongs to it is fields as well" grep -q '"POSTRIDER_PENDING":"[0-9]*"' /tmp/events
check "the journal knows whose words they are" grep -q "\"_UID\":\"$(id -u postrider)\"" /tmp/events
journalctl -q -b -o export >/tmp/journal
check "there is a journal" [ "$(wc -c </tmp/journal)" -gt 100000 ]
for name in billing shipping; do
    check "the secret of $name is not in it" \
        not grep -aqF "$(sed 's/^whsec_//' /etc/postrider/secrets/$name)" /tmp/journal
done
check "no payload is in it" not grep -aq payload-of-4711 /tmp/journal
check "no signature is in it" not grep -aq 'v1,[A-Za-z0-9+/]\{20\}' /tmp/journal
errors() { journalctl -q -b -u $UNIT -o json PRIORITY=3 | grep -a '"POSTRIDER_EVENT"'; }
check "the daemon saw no error of its own" not errors
