"""Copies what the console's pages load from others into static/vendor: `make assets`, after `npm ci` in console/assets.

Only built files of locked packages, each with its licence. The icons that our templates and modules name become one
sprite: an icon is used by its name, and a name that does not exist fails here.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "console"
PACKAGES = CONSOLE / "assets" / "node_modules"
VENDOR = ROOT / "static" / "vendor"
# (package, folder under static/vendor, {file in the package: our name})
COPIED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("htmx.org", "htmx", {"dist/htmx.min.js": "htmx.min.js"}),
    (
        "uplot",
        "uplot",
        {"dist/uPlot.iife.min.js": "uplot.iife.min.js", "dist/uPlot.min.css": "uplot.min.css"},
    ),
    (
        "@fontsource-variable/inter",
        "inter",
        {f"files/inter-{part}-wght-normal.woff2": f"inter-{part}.woff2" for part in ("latin", "latin-ext")},
    ),
    (
        "@fontsource-variable/jetbrains-mono",
        "jetbrains-mono",
        {"files/jetbrains-mono-latin-wght-normal.woff2": "jetbrains-mono-latin.woff2"},
    ),
)
# {% icon "name" %} in templates, icon("name") in modules and Python, icon names in tables: icon="name", "icon": "name".
_NAMED = re.compile(
    r"""(?:\{%\s*icon\s+|\bicon\(\s*|\bicon\s*[=:]\s*|"icon"\s*:\s*|data-icon=)["']([a-z0-9-]+)["']"""
)
_SHAPES = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def main() -> int:
    """Copy the files and write the sprite; 1 when an icon does not exist."""
    versions = {}
    for package, folder, files in COPIED:
        source, target = PACKAGES / package, VENDOR / folder
        target.mkdir(parents=True, exist_ok=True)
        for name, ours in files.items():
            shutil.copyfile(source / name, target / ours)
        shutil.copyfile(source / "LICENSE", target / "LICENSE")
        versions[package] = _version(source)
    missing = _write_sprite(sorted(_used_icons()))
    versions["lucide-static"] = _version(PACKAGES / "lucide-static")
    (VENDOR / "versions.json").write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")
    for name in missing:
        print(f"no icon is called {name!r}", file=sys.stderr)  # noqa: T201 - a program's output
    return 1 if missing else 0


def _version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def _used_icons() -> set[str]:
    files = [path for kind in ("*.html", "*.js", "*.py") for path in CONSOLE.rglob(kind)]
    return {
        name
        for path in files
        if "node_modules" not in path.parts
        for name in _NAMED.findall(path.read_text())
    }


def _write_sprite(names: Iterable[str]) -> list[str]:
    """One SVG with a symbol for each icon; returns the names that the package does not have."""
    target = VENDOR / "lucide"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PACKAGES / "lucide-static" / "LICENSE", target / "LICENSE")
    symbols, missing = [], []
    for name in names:
        file = PACKAGES / "lucide-static" / "icons" / f"{name}.svg"
        if not file.is_file():
            missing.append(name)
            continue
        found = _SHAPES.search(file.read_text())
        if found is None:
            raise ValueError(f"{file.name} is no SVG")
        shapes = re.sub(r"\s+", " ", found[1]).strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    (target / "sprite.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"
    )
    return missing


if __name__ == "__main__":
    sys.exit(main())
