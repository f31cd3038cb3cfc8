# systemctl reload: what is good is applied, what is not is refused, and both end.

# ExecReload= fails with the refusal; where the daemon is told by a signal, nothing can fail
[ "$(property Type)" = notify-reload ] && by_signal=yes || by_signal=no
echo "      Type=$(property Type)"
pid=$(main_pid)
more=/etc/postrider/conf.d/more.toml
mark
printf '[[endpoint]]\nname = "audit"\nurl = "http://127.0.0.1:8402/"\ntypes = ["x"]\n' >$more
check "a reload with a new endpoint" systemctl reload $UNIT
check "the endpoint is there" await 20 api_says /v1/endpoints '"audit"'
check "the journal says so" await 20 event_said config.reloaded
mark
printf '[[endpoint]]\nname = "audit"\nurl = "http://127.0.0.1:8402/"\npaused = "no"\n' >$more
if [ $by_signal = yes ]; then
    check "a reload with a mistake ends" timeout 60 systemctl reload $UNIT
else
    check "a reload with a mistake fails" not timeout 60 systemctl reload $UNIT
fi
check "the journal says that it was refused" await 20 event_said config.rejected
rejected=$(since_mark POSTRIDER_EVENT=config.rejected | head -n 1)
has_field() { grep -q "\"POSTRIDER_$1\":\"$2\"" <<<"$rejected" || { echo "$rejected"; false; }; }
check "with the file" has_field FILE "$more"
check "with the line" has_field LINE 4
check "with the column" has_field COLUMN 10
check "the service is active and is the same process" [ "$(main_pid) $(property ActiveState)" = "$pid active" ]
check "what held before still holds" api_says /v1/endpoints '"audit"'
mark
systemctl kill --signal=HUP --kill-who=main $UNIT
check "the same by a signal" await 20 event_said config.rejected
told() { property StatusText | grep -q "^configuration refused.*$more:4:10"; }
check "the status says why" await 20 told
rm $more
check "mended, it is taken again" systemctl reload $UNIT
check "it is the same process to the end" [ "$(main_pid)" = "$pid" ]
