# What the virtual machines share: a Debian kernel and the modules for a virtio disk with ext4.
# Sourced by scripts that have sourced common.sh; what is fetched is kept in $guests.

guests=$PWD/target/guests

# The modules, in the order in which they are loaded; those a kernel has built in are left out.
MODULES="crc16 crc32c_generic crc32c-intel libcrc32c virtio_ring virtio
virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk mbcache jbd2 ext4"

# The kernel is fetched once and kept between runs.
fetch_kernel() {
    kernel_dir=$guests/kernel
    if ! ls "$kernel_dir"/boot/vmlinuz-* >/dev/null 2>&1; then
        local package
        package=$(apt-cache depends linux-image-amd64 2>/dev/null |
            awk '/Depends: linux-image-/ { print $2; exit }')
        [ -n "$package" ] || skip "apt knows no linux-image-amd64"
        rm -rf "$kernel_dir" "$guests/download"
        mkdir -p "$kernel_dir" "$guests/download"
        (cd "$guests/download" && apt-get download -q "$package" >&2) ||
            skip "cannot download $package"
        dpkg-deb -x "$guests"/download/*.deb "$kernel_dir"
        rm -rf "$guests/download"
    fi
    kernel=$(ls "$kernel_dir"/boot/vmlinuz-* | head -n 1)
}

# copy_modules ROOT: into its /modules, with their order
copy_modules() {
    mkdir -p "$1/modules"
    for module in $MODULES; do
        local file
        file=$(find "$kernel_dir/lib/modules" -name "$module.ko" | head -n 1)
        [ -n "$file" ] || continue
        cp "$file" "$1/modules/$module.ko"
        echo "$module" >>"$1/modules/order"
    done
}

# copy_busybox ROOT PROGRAM...: into its /bin, under the names of these programs
copy_busybox() {
    mkdir -p "$1/bin"
    cp "$(command -v busybox)" "$1/bin/busybox"
    local name
    for name in "${@:2}"; do ln -s busybox "$1/bin/$name"; done
}

# archive DIRECTORY: what the kernel unpacks as its first root
archive() { (cd "$1" && find . | cpio -o -H newc --quiet | gzip -1); }
