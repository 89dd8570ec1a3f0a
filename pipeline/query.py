"""SQL over the tables of a corpus, by DuckDB.

The tables are the views ``documents``, ``images``, ``rejected`` and ``failed``. DuckDB reads only
the columns and row groups that a query needs.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, BinaryIO, TypeVar

import duckdb
from fsspec import AbstractFileSystem
from rich.console import Console

from pipeline.corpus import Corpus, join, open_file
from pipeline.errors import UserError
from pipeline.terminal import Column, clean, print_table
from schemas.corpus import TABLES

_T = TypeVar("_T")
CELL = 60  # characters of a cell on a terminal


def connect(**corpora: Corpus) -> duckdb.DuckDBPyConnection:
    """An in-memory database with a schema for each corpus and its tables as views.

    The first corpus is the default schema: its tables need no prefix.

    Raises:
      UserError: a file is missing or no Parquet.
    """
    connection = duckdb.connect()
    for name, corpus in corpora.items():
        _reach(connection, corpus.path)
        connection.execute(f"CREATE SCHEMA {name}")
        for table in TABLES:
            connection.execute(f"CREATE VIEW {name}.{table} AS {_rows(corpus, table)}")
    connection.execute(f"SET schema = '{next(iter(corpora))}'")
    return connection


def _reach(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    """Lets DuckDB read from the filesystem of a URL."""
    protocol, separator, _ = path.partition("://")
    if separator and not connection.filesystem_is_registered(protocol):
        connection.register_filesystem(_Files(protocol))


class _Files(AbstractFileSystem):
    """What Beam reads, for DuckDB, which asks fsspec."""

    def __init__(self, protocol: str):
        super().__init__(skip_instance_cache=True)
        self.protocol = protocol

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]  # names only files that the manifest has

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        with open_file(path) as file:
            return {"name": path, "size": file.seek(0, 2), "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(0, UTC)  # what the manifest names does not change

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        return open_file(path)


def _rows(corpus: Corpus, table: str) -> str:
    """A query for all rows of a table."""
    for file in corpus.files(table):
        corpus.parquet(file)  # says which one is missing or broken
    paths = [_quoted(join(corpus.path, file["path"])) for file in corpus.files(table)]
    if paths:
        return f"SELECT * FROM read_parquet([{', '.join(paths)}])"
    return f"SELECT {', '.join(f'NULL AS {name}' for name in TABLES[table].names)} WHERE false"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Result:
    """Attributes:
    columns: names.
    rows: fetched as they are asked for, once.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


def run_query(corpus: Corpus, sql: str) -> Result:
    """What a query gives.

    Raises:
      UserError: the query is wrong; the message is DuckDB's. Rows may raise it later.
      KeyboardInterrupt: on Ctrl-C, here and while rows are fetched.
    """
    connection = connect(corpus=corpus)
    if not sql.strip():
        raise UserError("query: give a statement of SQL: 'SELECT count(*) FROM documents'")
    try:
        interruptible(connection, lambda: connection.execute(sql))
    except duckdb.Error as error:
        raise UserError(f"query: {_message(error)}") from None
    columns = [column[0] for column in connection.description or ()]
    return Result(columns, _fetched(connection))


def _fetched(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := interruptible(connection, lambda: connection.fetchmany(1024)):
            yield from rows
    except duckdb.Error as error:
        raise UserError(f"query: {_message(error)}") from None


def interruptible(connection: duckdb.DuckDBPyConnection, ask: Callable[[], _T]) -> _T:
    """What DuckDB answers; asked in a thread, since it may not look up for Ctrl-C in the one that
    signals come to.

    Raises:
      duckdb.Error: as `ask` does.
      KeyboardInterrupt: on Ctrl-C.
    """
    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(ask).result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _message(error: duckdb.Error) -> str:
    """The error and the suggestion that follows it; not the whole plan."""
    return "\n".join(line for line in str(error).strip().splitlines() if line.strip())


def plain(value: Any) -> Any:
    """A value as JSON can hold it; bytes by their number."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def print_rows(console: Console, result: Result, limit: int) -> None:
    """A table of the first `limit` rows on a terminal; all of them, tab-separated, elsewhere."""
    if not console.is_terminal:
        for row in chain([result.columns], result.rows):
            cells = ("" if cell is None else clean(plain(cell)) for cell in row)
            console.file.write("\t".join(cells) + "\n")  # print() would turn tabs into blanks
        return
    rows = list(islice(result.rows, limit + 1))
    columns = []
    for i, name in enumerate(result.columns):
        values = [row[i] for row in rows]
        number = all(isinstance(value, int | float | None) for value in values)
        columns.append(Column(clean(name), right=number, fold=not number))
    print_table(console, columns, [[_cell(cell) for cell in row] for row in rows[:limit]])
    if len(rows) > limit:
        console.print(f"The first {limit:,} rows; --limit N shows more.", style="dim")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(plain(value))
    return text if len(text) <= CELL else text[: CELL - 1] + "…"
