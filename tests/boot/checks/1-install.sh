# The commands of README.md or the package, the state that they lead to, and the sandbox that holds.

useradd --no-create-home --groups '' teller
useradd --no-create-home stranger
mark
type=notify
if [ "$install" = package ]; then
    # the image was made without documentation
    rm -f /etc/dpkg/dpkg.cfg.d/*mmdebstrap*
    check "dpkg installs the package" dpkg --install first.deb
else
    if [ "$(systemctl --version | awk 'NR == 1 { print $2 }')" -ge 253 ]; then
        type=notify-reload
        install -D -m 644 systemd/10-notify-reload.conf -t /usr/lib/systemd/system/$UNIT.d
    fi
    check "README.md: the commands for a service" bash -e install.sh
fi
check "the service is active" up
equal "the sockets are active" "active active" \
    "$(property ActiveState postrider.socket) $(property ActiveState postrider-admin.socket)"
equal "the units are enabled" "enabled enabled enabled" \
    "$(systemctl is-enabled $UNIT postrider.socket postrider-admin.socket | xargs)"
equal "the unit waits for the daemon's word" $type "$(property Type)"
check "there is a status for people" \
    await 20 bash -c 'systemctl status postrider | grep -q "Status: \"0 sending, 0 waiting\""'
check "systemd takes every line of the units" not systemd_said 'gnor\|Unknown\|Failed to'
check "systemd-analyze verify" \
    systemd-analyze verify --man=no $UNIT postrider.socket postrider-admin.socket
check "systemd-analyze security finds at most 1.5" \
    systemd-analyze security --threshold=15 --no-pager $UNIT
usermod --append --groups postrider-submit teller

# What systemd says of each switch that the unit sets.
switches() {
    sed -n '/^\[Service\]/,/^\[Install\]/s/^\([A-Z][A-Za-z]*=\(yes\|strict\|[0-9][0-9]*\)\)$/\1/p' \
        /usr/lib/systemd/system/$UNIT | grep -v 'Sec=\|Status=\|Mask='
}
systemctl show $UNIT | sort >/tmp/shown
equal "every switch of the unit is in force" "" "$(switches | sort | comm -23 - /tmp/shown)"
check "and these are many" [ "$(switches | wc -l)" -ge 20 ]

pid=$(main_pid)
status_of() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
equal "the process is of its own user" "$(id -u postrider)" "$(status_of Uid | cut -f1)"
equal "no new privileges" 1 "$(status_of NoNewPrivs)"
equal "its system calls are filtered" 2 "$(status_of Seccomp)"
check "by the unit and by the daemon itself" [ "$(status_of Seccomp_filters)" -ge 2 ]
for set in CapInh CapPrm CapEff CapBnd CapAmb; do
    equal "no capability: $set" 0000000000000000 "$(status_of $set)"
done
equal "its umask" 0077 "$(status_of Umask)"
equal "no core dumps" 0 "$(awk '/core file size/ { print $5 }' "/proc/$pid/limits")"
equal "open files" 65536 "$(awk '/open files/ { print $4 }' "/proc/$pid/limits")"

# What the process sees, through its own root.
inside=/proc/$pid/root
cannot_write() { ! touch "$inside$1/tried" 2>/tmp/why && grep -q 'Read-only' /tmp/why; }
for place in /usr /etc /etc/postrider /var/log /boot; do
    check "$place cannot be written" cannot_write $place
done
check "its own directory can" touch $inside/var/lib/postrider/tried
rm -f /var/lib/postrider/tried
mkdir -p ~teller
for place in ~teller ~root /tmp; do
    touch "$place/diary"
    check "$place is not there" not ls "$inside$place/diary"
done
check "/etc/shadow is not there" not grep -q root $inside/etc/shadow
check "no other program can be run" not $inside/usr/bin/true
check "no devices but harmless ones" not ls $inside/dev/vda
equal "its files are its own" "postrider:postrider 700" \
    "$(stat -c '%U:%G %a' /var/lib/postrider)"

# A process in the daemon's control group is held by the same rules about addresses.
among() { bash -c 'echo $$ >/sys/fs/cgroup/system.slice/postrider.service/cgroup.procs; "$@"' - "$@"; }
./busybox ip address add 169.254.9.9/32 dev lo
systemd-run --quiet --unit=neighbour postrider listen 169.254.9.9:8400
reached() { "$@" curl -s -o /dev/null --max-time 5 http://169.254.9.9:8400/; }
check "others can call link-local addresses" await 20 reached
check "the service cannot" not reached among
systemctl stop neighbour
if systemctl --version | grep -q +BPF_FRAMEWORK; then
    check "no port can be bound" not among postrider listen 127.0.0.1:8499 --for 1s
else
    echo "      this systemd is built without BPF and cannot do SocketBindDeny="
fi
