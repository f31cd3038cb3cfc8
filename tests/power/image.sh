# Builds what the guest boots: a Debian kernel, and an initramfs with busybox, the modules for a
# virtio disk with ext4, the daemon and the client. Sourced by `run`; everything lands in $work.

# The modules, in the order in which they are loaded; those a kernel has built in are left out.
MODULES="crc16 crc32c_generic crc32c-intel libcrc32c virtio_ring virtio
virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk mbcache jbd2 ext4"

# The kernel is fetched once and kept between runs.
fetch_kernel() {
    kernel_dir=$cache/kernel
    if ! ls "$kernel_dir"/boot/vmlinuz-* >/dev/null 2>&1; then
        local package
        package=$(apt-cache depends linux-image-amd64 2>/dev/null |
            awk '/Depends: linux-image-/ { print $2; exit }')
        [ -n "$package" ] || skip "apt knows no linux-image-amd64"
        rm -rf "$kernel_dir" "$cache/download"
        mkdir -p "$kernel_dir" "$cache/download"
        (cd "$cache/download" && apt-get download -q "$package" >&2) ||
            skip "cannot download $package"
        dpkg-deb -x "$cache"/download/*.deb "$kernel_dir"
        rm -rf "$cache/download"
    fi
    kernel=$(ls "$kernel_dir"/boot/vmlinuz-* | head -n 1)
}

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
    cp "$(command -v busybox)" "$root/bin/busybox"
    for name in cat cut ifconfig insmod kill mount poweroff sh sleep stty sync tail umount; do
        ln -s busybox "$root/bin/$name"
    done
    for module in $MODULES; do
        local file
        file=$(find "$kernel_dir/lib/modules" -name "$module.ko" | head -n 1)
        [ -n "$file" ] || continue
        cp "$file" "$root/modules/$module.ko"
        echo "$module" >>"$root/modules/order"
    done
    install_program "$POSTRIDER_BIN" postrider
    install_program "$client" power_client
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\npostrider-submit:x:1:\npostrider-admin:x:2:\n' >"$root/etc/group"
    sed "s/@DURABILITY@/$durability/" tests/power/config.toml >"$root/config.toml"
    cp tests/power/init "$root/init"
    chmod 0755 "$root/init"
    archive "$root" >"$work/image"
}

archive() { (cd "$1" && find . | cpio -o -H newc --quiet | gzip -1); }

# What differs from boot to boot is a second archive behind the first: task, acknowledgements.
boot_image() {
    local extra=$work/extra
    rm -rf "$extra"
    mkdir -p "$extra"
    cp "$1" "$extra/task"
    cp "$2" "$extra/acknowledged"
    { cat "$work/image"; archive "$extra"; } >"$work/boot_image"
}
