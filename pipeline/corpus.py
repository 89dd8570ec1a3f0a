"""A finished corpus, opened for reading: its manifest and its tables."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from schemas.corpus import SCHEMA_VERSION

MANIFEST = "manifest.json"
WORK = "_work"
# Of an installation, by the scheme of the paths that it reads.
EXTRAS = {"gs": "gcp", "s3": "aws"}

# What a manifest and the entries of its lists hold, and the type of each.
KEYS = {
    "weft_version": str,
    "schema_version": int,
    "config": dict,
    "config_sha256": str,
    "models": list,
    "inputs": list,
    "files": list,
    "funnel": list,
    "digest": str,
}
ENTRIES: dict[str, dict[str, type]] = {
    "models": {"name": str, "weights_sha256": str},
    "inputs": {"name": str, "size": int},
    "files": {"table": str, "path": str, "rows": int, "n_bytes": int, "sha256": str},
    "funnel": {
        "stage": str,
        "kind": str,
        "entered": int,
        "kept": int,
        "rejected": int,
        "failed": int,
        "rules": list,
    },
    "rules": {"kind": str, "rule": str, "reason": str, "count": int},
}


@dataclass(frozen=True)
class Corpus:
    """Attributes:
    path: folder, local or on a filesystem that Beam knows.
    manifest: as `pipeline.run` wrote it.
    """

    path: str
    manifest: dict[str, Any]

    def files(self, table: str) -> list[dict[str, Any]]:
        """The manifest's entries of a table, in the order of their paths."""
        files = [file for file in self.manifest["files"] if file["table"] == table]
        return sorted(files, key=lambda file: str(file["path"]))

    def rows(self, table: str) -> int:
        return sum(file["rows"] for file in self.files(table))

    def parquet(self, file: dict[str, Any]) -> pq.ParquetFile:
        """Opens one of `files`.

        Raises:
          UserError: it is missing or no Parquet.
        """
        try:
            return open_parquet(join(self.path, file["path"]))
        except (OSError, pa.ArrowException) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise UserError(
                f"{self.path}: {file['path']} {reason}; `weft validate` names every such file"
            ) from None

    def batches(
        self, table: str, columns: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], int, pa.Table]]:
        """A table, row group by row group, with only the columns asked for.

        Yields:
          the file's entry in the manifest, the row group's number, its rows.

        Raises:
          UserError: a file is missing, broken or lacks a column.
        """
        for file in self.files(table):
            parquet = self.parquet(file)
            for group in range(parquet.num_row_groups):
                yield file, group, self.row_group(file, parquet, group, columns)

    def row_group(
        self, file: dict[str, Any], parquet: pq.ParquetFile, group: int, columns: Sequence[str]
    ) -> pa.Table:
        """One row group of a file that `parquet` opened.

        Raises:
          UserError: it is broken or lacks a column.
        """
        try:
            table = parquet.read_row_group(group, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            reason = f"is broken ({first_line(error)})"
        else:
            missing = {column.split(".")[0] for column in columns} - set(table.column_names)
            if not missing:
                return table
            reason = f"lacks {', '.join(sorted(missing))}"
        raise UserError(
            f"{self.path}: {file['path']} {reason}; `weft validate` names every such file"
        )


def open_corpus(path: str) -> Corpus:
    """Opens the folder that `weft run` wrote.

    Raises:
      UserError: there is no finished corpus, or one of another version.
    """
    path = path if "://" in path else path.rstrip("/") or path
    manifest = read_manifest(path)
    if faults := manifest_faults(manifest):
        other = isinstance(manifest, dict) and manifest.get("schema_version") != SCHEMA_VERSION
        by = manifest.get("weft_version") if other else None
        remedy = f"; weft {by} reads it, or make it anew" if by else ""
        raise UserError(f"{join(path, MANIFEST)}: is no manifest of this weft: {faults[0]}{remedy}")
    return Corpus(path, manifest)


def read_manifest(path: str) -> Any:
    """The content of a corpus's manifest, whatever it is.

    Raises:
      UserError: there is none, or it is no JSON.
    """
    manifest_path = join(reachable(path), MANIFEST)
    try:
        if "://" in path:
            from stages import files

            if not files.exists(manifest_path):  # each store says so by an error of its own
                raise FileNotFoundError
        content = read_bytes(manifest_path)
    except FileNotFoundError:
        raise UserError(_missing(path)) from None
    except NotADirectoryError:
        raise UserError(f"{path}: is a file; give the folder of `weft run --output`") from None
    except OSError as error:
        raise UserError(f"{manifest_path}: cannot be read: {first_line(error)}") from None
    try:
        return json.loads(content)
    except ValueError:
        raise UserError(f"{manifest_path}: is no JSON; run the same `weft run` again") from None


def manifest_faults(manifest: Any) -> list[str]:
    """What a manifest lacks; what reads a manifest without any need not look again."""
    if not isinstance(manifest, dict):
        return ["it is no JSON object"]
    version = manifest.get("schema_version")
    if isinstance(version, int) and version != SCHEMA_VERSION:
        return [f"its schema version is {version}, not {SCHEMA_VERSION}"]
    faults = _faults(manifest, KEYS, "")
    for key in ("models", "inputs", "files", "funnel"):
        for i, entry in enumerate(manifest[key] if not faults else []):
            faults += _faults(entry, ENTRIES[key], f"{key}[{i}].")
            if key == "funnel" and not faults:
                for k, rule in enumerate(entry["rules"]):
                    faults += _faults(rule, ENTRIES["rules"], f"{key}[{i}].rules[{k}].")
    return faults


def _faults(entry: Any, keys: dict[str, type], place: str) -> list[str]:
    found = entry if isinstance(entry, dict) else {}
    return [
        f"{place}{key} is {'missing' if key not in found else f'no {kind.__name__}'}"
        for key, kind in keys.items()
        if not isinstance(found.get(key), kind)
    ]


def _missing(path: str) -> str:
    if "://" not in path and not os.path.isdir(path):
        return f"{path}: no such folder"
    if "://" in path:
        return (
            f"{path}: is no finished corpus ({MANIFEST} is missing); check the path, or run the "
            "same `weft run` again, it continues where it stopped"
        )
    if os.path.isdir(os.path.join(path, WORK)):
        return (
            f"{path}: the corpus is not finished ({MANIFEST} is missing); run the same `weft run` "
            "again, it continues where it stopped"
        )
    return f"{path}: is no corpus ({MANIFEST} is missing); give the folder of `weft run --output`"


def corpus_digest(shards: Sequence[dict[str, Any]]) -> str:
    """SHA-256 over ``path sha256`` lines of all shards, sorted: one name for the whole corpus."""
    lines = sorted(f"{shard['path']} {shard['sha256']}\n" for shard in shards)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reachable(path: str, options: Any = None) -> str:
    """The path itself.

    Args:
      options: Beam's, which may name a server and keys.

    Raises:
      UserError: nothing is installed that reads and writes such paths, or its bucket is not there.
    """
    scheme, separator, _ = path.partition("://")
    if not separator:
        return path
    from apache_beam.io.filesystem import FileSystem

    from stages import files  # noqa: F401  with it come all filesystems

    known = {str(system.scheme()) for system in FileSystem.get_all_subclasses()} - {"None"}
    if scheme == "s3" and find_spec("boto3") is None:
        known -= {"s3"}
    if scheme in known:
        if scheme == "s3":
            _ask_s3(path, options or {})
        return path
    if scheme in EXTRAS:
        raise UserError(f"{path}: {scheme}:// needs an extra: install weft[{EXTRAS[scheme]}]")
    known |= {"gs", "s3"}
    raise UserError(
        f"{path}: nothing is read or written there: give a local path or one of "
        f"{', '.join(f'{name}://' for name in sorted(known))}"
    )


def _ask_s3(path: str, options: Any) -> None:
    """Asks for the bucket: Beam itself would try for ten minutes where there are no keys."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = path.removeprefix("s3://").partition("/")[0]
    try:
        Client(options).client.head_bucket(Bucket=bucket)
    except BotoCoreError as error:
        raise UserError(
            f"{path}: {first_line(error)}; boto3 looks for keys and address in ~/.aws, "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        ) from None
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            raise UserError(f"{path}: there is no bucket {bucket}") from None
        # Who may not ask for a bucket may still read what is in it.


# Local files are opened here, so that reading a corpus does not wait for Beam to be imported.


def join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if "://" in directory else str(Path(directory, name))


def open_file(path: str) -> BinaryIO:
    if "://" in path:
        from stages import files

        return files.opened(path)
    return open(path, "rb")


def write_file(path: str, content: bytes) -> None:
    """Writes a file that the user named.

    Raises:
      UserError: it cannot be written there.
    """
    try:
        if "://" in reachable(path):
            from stages import files

            files.write_atomically(path, content)
        else:
            with open(path, "wb") as file:
                file.write(content)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UserError(f"{path}: cannot be written: {reason}") from None


def read_bytes(path: str) -> bytes:
    with open_file(path) as file:
        return file.read()


def open_parquet(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(open_file(path) if "://" in path else path)


def listed(directory: str) -> list[str]:
    """Names of the files in a folder, sorted; none if it is not there."""
    if "://" in reachable(directory):
        from stages import files

        return [path.rsplit("/", 1)[-1] for path in files.listed(directory, "*")]
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []
