# What the fault scripts share; sourced by them, with the top of the tree as working directory.
# Each script ends with one line, "N passed, M failed", and fails if M is not 0 or N is.

export PYTHONDONTWRITEBYTECODE=1
passed=0
failed=0

pass() { passed=$((passed + 1)); echo "ok    $*"; }
fail() { failed=$((failed + 1)); echo "FAIL  $*"; }

# A test that cannot run here says so where everyone sees it, and is no failure.
skip() {
    echo "skipped: $*"
    echo "0 passed, 0 failed, skipped"
    exit 0
}

# The exit code is the script's own.
summary() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

need_programs() {
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

need_root() { [ "$(id -u)" -eq 0 ] || skip "it takes root"; }

# The binary under test: POSTRIDER_BIN, or the release build of this tree.
find_binary() {
    if [ -z "${POSTRIDER_BIN:-}" ]; then
        cargo build --release --locked --bin postrider "$@"
        POSTRIDER_BIN=$PWD/target/release/postrider
    fi
    [ -x "$POSTRIDER_BIN" ] || skip "there is no binary at $POSTRIDER_BIN"
}

# Waits until a command succeeds: await SECONDS COMMAND...
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.05
    done
}
