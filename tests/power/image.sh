# Builds what the guest boots: a Debian kernel, and an initramfs with busybox, the modules for a
# virtio disk with ext4, the daemon and the client. Sourced by `run`; everything lands in $work.

# A program and the libraries it is linked with.
install_program() {
    cp "$1" "$root/app/$2"
    # what is only for debuggers would have to be loaded at every boot
    strip "$root/app/$2" 2>/dev/null || true
    ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -Ln "$library" "$root$library"
    done
}

build_image() {
    root=$work/root
    rm -rf "$root"
    mkdir -p "$root"/{app,bin,dev,etc,modules,proc,run/postrider,sys,tmp,var/lib/postrider}
    copy_busybox "$root" cat cut ifconfig insmod kill mount poweroff sh sleep stty sync tail umount
    copy_modules "$root"
    install_program "$POSTRIDER_BIN" postrider
    install_program "$client" power_client
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\npostrider-submit:x:1:\npostrider-admin:x:2:\n' >"$root/etc/group"
    sed "s/@DURABILITY@/$durability/" tests/power/config.toml >"$root/config.toml"
    cp tests/power/init "$root/init"
    chmod 0755 "$root/init"
    archive "$root" >"$work/image"
}

# What differs from boot to boot is a second archive behind the first: task, acknowledgements.
boot_image() {
    local extra=$work/extra
    rm -rf "$extra"
    mkdir -p "$extra"
    cp "$1" "$extra/task"
    cp "$2" "$extra/acknowledged"
    { cat "$work/image"; archive "$extra"; } >"$work/boot_image"
}
