# In the guest: runs the checks in their order. Results go to the second serial line, and the
# machine goes down after them. A check is a file; it may rely on what those before it left.
stty raw </dev/ttyS1
exec >/dev/ttyS1 2>&1
cd /srv/tested || exit
export HOME=/tmp LC_ALL=C.UTF-8 SYSTEMD_PAGER='' NO_COLOR=1
. checks/common.sh
. checks/guest.sh
. checks/task

# run_checks NUMBER...: those of them that are asked for
run_checks() {
    local number check_began
    for number in "$@"; do
        [ "$only" = all ] || [ $number = 1 ] || [[ " $only " == *" $number "* ]] || continue
        check_began=$SECONDS
        . checks/$number-*.sh
        echo "      check $number took $((SECONDS - check_began)) s"
    done
}

if [ -e rebooted ]; then
    . checks/8-reboot.sh
    after_reboot
else
    run_checks 1 2 3 4 5 6 7
    if [ "$long" = yes ]; then
        . checks/8-reboot.sh
        before_reboot
        touch rebooted
        echo REBOOT
        systemctl --no-block reboot
        exit
    fi
fi
if [ "$install" = package ]; then run_checks 9; fi
echo DONE
systemctl --no-block poweroff
