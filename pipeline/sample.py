"""A few documents of a corpus, the same ones each time."""

from typing import Any

import duckdb
from rich.console import Console

from pipeline.corpus import Corpus
from pipeline.errors import UserError
from pipeline.query import connect, interruptible
from pipeline.terminal import Column, print_table

COLUMNS = ("doc_id", "url", "title", "language", "images", "sentences", "tokens")


def sample(corpus: Corpus, number: int, where: str = "", seed: int = 0) -> list[dict[str, Any]]:
    """Documents drawn by a hash of their ids, so that a sample does not depend on shards.

    Args:
      number: of documents, at most.
      where: a condition in SQL on the columns of the documents table, e.g. ``language = 'en'``.
      seed: another number draws others.

    Returns:
      The `COLUMNS` of each, in the order in which they were drawn: a smaller number draws the
      first of a larger one.

    Raises:
      UserError: the condition is no SQL or names no column.
    """
    connection = connect(corpus=corpus)
    query = f"""
        SELECT doc_id, url, title, language, len(image_info) AS images,
               len(text_list) AS sentences, token_count AS tokens
        FROM documents WHERE {f"({where})" if where else "true"}
        ORDER BY md5(? || doc_id) LIMIT ?
    """
    try:
        rows = interruptible(
            connection, lambda: connection.execute(query, [f"{seed} ", number]).fetchall()
        )
    except duckdb.Error as error:
        raise UserError(f"--where {where}: {str(error).strip().splitlines()[0]}") from None
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def print_sample(console: Console, rows: list[dict[str, Any]]) -> None:
    columns = [
        Column("doc_id", style="bold"),
        Column("images", right=True),
        Column("sentences", right=True),
        Column("title", fold=True),
        Column("url", style="dim", fold=True),
    ]
    cells = [
        (row["doc_id"][:12], row["images"], row["sentences"], row["title"], row["url"])
        for row in rows
    ]
    print_table(console, columns, cells)
