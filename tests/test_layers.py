"""A folder imports only what lies below it."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": {"schemas"},
    "filters": {"schemas", "filters"},
    "stages": {"schemas", "filters", "stages", "apache_beam"},
    "pipeline": {"schemas", "filters", "stages", "pipeline", "apache_beam"},
    "scripts": {"schemas", "filters", "stages", "pipeline", "scripts", "apache_beam"},
}
GUARDED = set(MAY_IMPORT) | {"apache_beam", "tests"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_layers():
    for layer, allowed in MAY_IMPORT.items():
        for path in (ROOT / layer).rglob("*.py"):
            extra = (set(imports(path)) & GUARDED) - allowed
            assert not extra, f"{path.relative_to(ROOT)} may not import {sorted(extra)}"
