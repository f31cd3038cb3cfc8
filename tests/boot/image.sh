# Builds what the guest boots: Debian on a disk, and a first root that puts what is tested on it.
# Sourced by `run`, after harness/guest.sh; what is made anew each time lands in $work.

# Nothing in the guest waits for devices (it has no udev), and nobody logs in.
GUEST_BOOTS_WITH="systemd.show_status=0 systemd.mask=getty.target systemd.mask=timers.target"
# Far more than Debian needs: the daemon refuses events on a disk with less than 1 GiB free.
DISK_BYTES=3G

# fetch_debian SUITE: an ext4 file system with systemd and curl, made once and kept between runs
fetch_debian() {
    debian=$guests/$1.ext4
    [ ! -e "$debian" ] || return 0
    local root=$work/debian packages=systemd,systemd-sysv,dbus,curl,ca-certificates
    # without this library, systemd passes over SocketBindDeny=
    packages+=,libbpf1
    mmdebstrap --quiet --variant=minbase --include=$packages \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$1" "$root" ||
        skip "Debian's $1 cannot be fetched"
    echo guest >"$root/etc/hostname"
    # without one, the first boot asks questions
    echo 4f1e7c0a5b2d4c6e8f90a1b2c3d4e5f6 >"$root/etc/machine-id"
    mkdir -p "$root/var/log/journal"
    truncate -s $DISK_BYTES "$debian.new"
    mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$debian.new"
    mv "$debian.new" "$debian"
    rm -rf "$root"
}

# The first root mounts the disk and copies /tested on it: the tree of a person who has built
# postrider and reads README.md, and the checks.
build_boot() {
    local root=$work/root
    local tested=$root/tested
    rm -rf "$root"
    mkdir -p "$root"/{dev,disk,proc,sys} "$tested/target/release"
    copy_busybox "$root" chmod cp insmod ln mkdir mount sh sleep switch_root
    copy_modules "$root"
    cp tests/boot/init tests/boot/checks.service "$root"
    chmod 0755 "$root/init"
    cp "$POSTRIDER_BIN" "$tested/target/release/postrider"
    cp -r systemd config.toml.example "$tested"
    service_of_readme >"$tested/install.sh"
    if [ $install = package ]; then cp "$work"/*.deb "$tested"; fi
    mkdir "$tested/checks"
    cp tests/boot/checks/* tests/harness/common.sh "$tested/checks"
    printf 'install=%s\nlong=%s\nonly="%s"\n' "$install" "$long" "$only" >"$tested/checks/task"
    archive "$root" >"$work/boot"
}

# Two packages of the same binary, the second one with a higher version.
build_packages() {
    local first version
    first=$(systemd/deb/build)
    version=$(dpkg-deb -f "$first" Version)
    cp "$first" "$work/first.deb"
    cp "$(systemd/deb/build "$version+next")" "$work/next.deb"
}

# The commands below "As a service" in README.md.
service_of_readme() {
    awk '/^As a service, / { on = 1; next } on && /^    / { print substr($0, 5); seen = 1; next }
         on && seen && NF { exit }' README.md
}
