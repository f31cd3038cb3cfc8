"""Makes a crate of modules of the core alone: core.py DIRECTORY MODULE...

With the engine it has the tests that need no more than the core. It has the crates of Cargo.toml
that its code names, as Cargo.lock pins them.
"""

import os
import re
import shutil
import sys

TESTS = ["sim", "conformance.rs", "data"]


def rust_below(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith(".rs"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    yield file.read()


def dependencies(code):
    """Lines of Cargo.toml: those of the crates that this code names."""
    with open("Cargo.toml", encoding="utf-8") as file:
        section = file.read().split("\n[dependencies]\n")[1].split("\n[")[0]
    for line in section.splitlines():
        name = re.match(r"([\w-]+) = ", line)
        if name and re.search(rf"\b{name[1].replace('-', '_')}::", code):
            yield line


def copy(source, target):
    """A copy is new, so that nothing is taken for it that was built of a mutant before."""
    if os.path.isdir(source):
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)


def main():
    folder, *modules = sys.argv[1:]
    for stale in ["src", "tests"]:
        shutil.rmtree(f"{folder}/{stale}", ignore_errors=True)
        os.makedirs(f"{folder}/{stale}")
    for module in modules:
        copy(f"src/{module}", f"{folder}/src/{module}")
    for test in TESTS if "engine" in modules else []:
        copy(f"tests/{test}", f"{folder}/tests/{test}")
    copy("Cargo.lock", f"{folder}/Cargo.lock")
    with open(f"{folder}/src/lib.rs", "w", encoding="utf-8") as file:
        file.writelines(f"pub mod {module};\n" for module in modules)
    manifest = [
        "[workspace]",
        "[package]",
        # two packages of one name would be one in the directory that they share
        f'name = "{os.path.basename(folder)}"',
        'version = "0.0.0"',
        'edition = "2024"',
        "[lib]",
        'name = "postrider"',
        "[dependencies]",
        *dependencies("".join(rust_below(folder))),
        # some tests are worth optimising for, and nobody debugs a mutant
        "[profile.dev]",
        "opt-level = 1",
        "debug = false",
    ]
    with open(f"{folder}/Cargo.toml", "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in manifest)


if __name__ == "__main__":
    main()
