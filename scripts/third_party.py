#!/usr/bin/env python3
"""The crates that are linked into latchd, their licences, and the notices that those licences want passed on.

usage: third_party.py     `cargo metadata` JSON on standard input, text on standard output

Only what is linked counts: normal dependencies from the root package on, without the macros that run while compiling. A
crate that names no licence is an error. A crate may carry no licence text of its own: its licence is named in the list.
"""

import json
import pathlib
import re
import sys

NOTICE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def linked(metadata):
    """The packages that end in the programs, by name and version."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    seen, todo = set(), [metadata["resolve"]["root"]]
    while todo:
        for dep in nodes[todo.pop()]["deps"]:
            macro = any("proc-macro" in target["kind"] for target in packages[dep["pkg"]]["targets"])
            normal = any(kind["kind"] is None for kind in dep["dep_kinds"])
            if normal and not macro and dep["pkg"] not in seen:
                seen.add(dep["pkg"])
                todo.append(dep["pkg"])
    return sorted((packages[id] for id in seen), key=lambda package: (package["name"], package["version"]))


def main():
    names, texts = [], {}
    for package in linked(json.load(sys.stdin)):
        label = f"{package['name']} {package['version']}"
        if not package["license"]:
            sys.exit(f"third_party.py: {label} names no licence")
        names.append(f"{label}: {package['license']}")
        for file in sorted(pathlib.Path(package["manifest_path"]).parent.iterdir()):
            if file.is_file() and NOTICE.match(file.name):
                text = file.read_text(encoding="utf-8", errors="replace").strip()
                # The same words in other line breaks are the same words.
                texts.setdefault(" ".join(text.split()), (text, []))[1].append(label)
    print("Crates linked into latchd\n\n" + "\n".join(names))
    for text, labels in texts.values():
        print(f"\n{'=' * 78}\n{', '.join(dict.fromkeys(labels))}\n{'=' * 78}\n\n{text}")


main()
