# Socket activation, and who may use the sockets.

runs_as() { runuser -u "$1" -- "${@:2}"; }

systemctl --quiet stop $UNIT
check "the service is stopped" is ActiveState inactive
equal "the socket for submitting" "srw-rw---- postrider postrider-submit" \
    "$(stat -c '%A %U %G' $INGEST)"
equal "the socket for managing" "srw-rw---- postrider postrider-admin" \
    "$(stat -c '%A %U %G' /run/postrider/admin.sock)"
equal "their directory" "drwxr-xr-x root root" "$(stat -c '%A %U %G' /run/postrider)"
check "another user cannot submit" not submit stranger order.created never
check "that starts nothing" is ActiveState inactive
check "a submission starts the service and gets its 202" accepted teller order.created first
check "the service is active again" up
check "the event's source is the user" api_says /v1/events "\"uid:$(id -u teller)\""
check "who submits cannot manage" not runs_as teller postrider status
systemctl --quiet stop $UNIT
check "a look at the status starts it as well" postrider --timeout 60s status
check "and only once" [ "$(property NRestarts)" = 0 ]
