"""What a released binary is made of: the crates that are linked or built for this machine's target,
as Cargo.lock pins them. Tests' crates are left out.
"""

import json
import subprocess


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def target():
    """The target triple of the compiler that builds the release: it builds for itself."""
    lines = output("rustc", "-vV").splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def linked():
    """Name and version of what a build takes, the project itself included.

    `cargo metadata` alone would add what only features of the tests' crates switch on.
    """
    shape = ["--edges=normal,build", "--prefix=none", "--format={p}", "--locked"]
    lines = output("cargo", "tree", f"--target={target()}", *shape).splitlines()
    words = [line.split() for line in lines if line]
    return {(name, version.removeprefix("v")) for name, version, *_ in words}


def metadata():
    """What cargo says of the whole tree, and of it the packages in the binary, by their ids."""
    data = json.loads(
        output(
            "cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target()}"
        )
    )
    wanted = linked()
    packages = {
        package["id"]: package
        for package in data["packages"]
        if (package["name"], package["version"]) in wanted
    }
    return data, packages
