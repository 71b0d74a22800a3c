"""What the files of a local state say together: the JSON, and the journal on top of it.

The journal is read before the JSON. A fold writes the JSON first and cuts the journal then,
so whoever reads in this order sees, in the JSON, at least all that a cut took away; lines
that the JSON has already are skipped by their serial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from reconciler.errors import StateDamaged, StateForeign
from reconciler.formats.statefile import decode_document, encode_document
from reconciler.model.memory import Document, apply_deltas
from reconciler.stores import journal as journals
from reconciler.stores.base import NEVER_WRITTEN, Revision
from reconciler.stores.files import Identity, identity, read_tail, read_whole
from reconciler.stores.journal import Journal, JournalEntry
from reconciler.stores.ownership import check_owner

LARGE = 8 * 1024 * 1024  # bytes: of more, only as much is read as is needed
_TORN_END = 16  # bytes of a torn end that are kept, to show that there is one


@dataclass(slots=True)
class Snapshot:
    """The files as last read or written by one instance, kept up to date by its own commits.

    ``document`` lacks ``pending``, which are applied when somebody asks, so that a commit
    costs the same whatever the document's size. ``tail`` are the journal's bytes from
    ``tail_start`` to its end; being sealed, they stand for all before them. ``unfolded``
    counts the commits that the JSON lacks. ``appendable``: the next line may simply follow.
    """

    document: Document | None = None
    revision: Revision = NEVER_WRITTEN
    identity: Identity | None = None
    document_digest: str = ""
    tail: bytes | None = None
    tail_start: int = 0
    line_digest: str = ""
    unfolded: int = 0
    appendable: bool = False
    pending: list[JournalEntry] = field(default_factory=list)

    def current(self) -> Document | None:
        """Return the document with every commit applied."""
        if self.document is not None and self.pending:
            self.document = _with_entries(self.document, self.pending)
            self.pending = []
        return self.document

    @property
    def size(self) -> int:
        """Return the journal's size in bytes."""
        return self.tail_start + len(self.tail or b"")

    def still_true(self, path: str) -> bool:
        """Return whether the files are as they were; reads the journal's end, not the JSON."""
        if identity(path) != self.identity or _is_large_since(f"{path}.journal", self.tail_start):
            return False
        return read_tail(f"{path}.journal", self.tail_start) == self.tail


def load(path: str, team_id: int, api_url: str) -> Snapshot:
    """Read the files of the state at ``path``; nothing is written, no lock is needed.

    Raises ``StateDamaged``, ``StateNewer``, ``StateForeign``, or ``StateError`` when a file
    cannot be read.
    """
    remains = identity(f"{path}.backup") is not None
    journal_data = _read_journal(f"{path}.journal")
    _check_beginning(path)
    document_file = read_whole(path)
    if document_file is None:
        _refuse_remains(path, remains, journal_data is not None)
        return Snapshot()
    journal = None if journal_data is None else journals.parse(journal_data, f"{path}.journal")
    data, found = document_file
    digest = journals.digest_of(data)
    ours = journal is not None and journal.header.document_digest == digest
    document = decode_document(data, path, _restore(path), ours=ours)
    check_owner(document, team_id, api_url, path)
    snapshot = _joined(path, document, digest, journal)
    snapshot.identity = found
    if journal is not None and journal_data is not None:
        snapshot.tail_start = journal.size - len(journal.last_line)
        snapshot.tail = journal_data[snapshot.tail_start :]
        snapshot.line_digest = journal.digest
    return snapshot


def _read_journal(path: str) -> bytes | None:
    """Return the journal's bytes; of a long end that is torn only the beginning."""
    found = identity(path)
    if found is not None and found.size > LARGE:
        with open(path, "rb") as stream:
            ended = _end_of_lines(stream, found.size)
            stream.seek(found.size - 3)
            sealed = stream.read(2) == b'"}'  # a whole line whose end was changed is damage, and told so
            stream.seek(0)
            if found.size - ended > LARGE and not sealed:
                return stream.read(ended + _TORN_END)
    whole = read_whole(path)
    return None if whole is None else whole[0]


def _end_of_lines(stream: BinaryIO, size: int) -> int:
    """Return where the last line that has an end ends, looking from the file's end in small pieces."""
    end = size
    while end > 0:
        start = max(0, end - 2**20)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _is_large_since(path: str, start: int) -> bool:
    """Return whether so much stands in a journal from ``start`` on that it was not read whole."""
    found = identity(path)
    return found is not None and found.size - start > LARGE


def _check_beginning(path: str) -> None:
    """Refuse a large file that does not even begin as a state does, without reading it."""
    found = identity(path)
    if found is not None and found.size > LARGE:
        with open(path, "rb") as stream:
            beginning = stream.read(4096).lstrip()
        if not beginning.startswith(b"{"):
            decode_document(beginning, path, _restore(path))


def _restore(path: str) -> str:
    return (
        f"Correct it, or copy {path}.backup over it (that is the state before the last run). "
        "Nothing was changed."
    )


def _refuse_remains(path: str, backup: bool, journal: bool) -> None:
    """Refuse a missing JSON whose companions are there: to start over would forget what it knew."""
    if not backup and not journal:
        return
    companion = f"{path}.journal" if journal else f"{path}.backup"
    raise StateDamaged(
        "The state file is missing",
        f"{path} does not exist, but {companion} does: it was written before, then removed.",
        f"Restore it (copy {path}.backup there). To start over, also remove the files beside it.",
    )


def _joined(path: str, document: Document, digest: str, journal: Journal | None) -> Snapshot:
    """Return the snapshot of a JSON and its journal.

    A journal that names this very JSON carries its token on. Otherwise the JSON was
    replaced: by a fold that died before it cut the journal, or by a person.
    """
    if journal is not None and journal.header.document_digest == digest:
        entries, token, fits = journal.entries, journal.token, True
    else:
        entries, fits = _outstanding(path, document, journal), False
        token = journals.digest_of(f"{digest}{journal.digest}".encode()) if journal and entries else digest
    current = _with_entries(document, entries)
    return Snapshot(
        document=current,
        revision=Revision(current.lineage, current.serial, token),
        document_digest=digest,
        unfolded=len(entries),
        appendable=fits and journal is not None and not journal.torn,
    )


def _outstanding(path: str, document: Document, journal: Journal | None) -> tuple[JournalEntry, ...]:
    """Return the entries that a JSON lacks which the journal was not begun on."""
    if journal is None:
        return ()
    _check_unchanged(path, document, journal)
    if not journal.entries:
        return ()
    header = journal.header
    if header.lineage != document.lineage:
        raise StateForeign(
            "The journal belongs to another state",
            f"{path} has lineage {document.lineage}, and {path}.journal continues {header.lineage}.",
            "Move the journal away if its commits are not wanted, or restore the state it belongs to.",
        )
    if document.serial < header.serial:
        raise StateDamaged(
            "Commits are missing from the state",
            f"{path} is at serial {document.serial}, and {path}.journal continues serial {header.serial}.",
            f"Restore the state of serial {header.serial}. If it is lost, move the journal away.",
        )
    _check_skipped(path, document, journal)
    return tuple(entry for entry in journal.entries if entry.serial > document.serial)


def _check_unchanged(path: str, document: Document, journal: Journal) -> None:
    """Refuse a JSON of the journal's own serial that says something else: a flipped bit, say.

    Only a fold writes it, and that raises the serial. Other white space is no matter.
    """
    header = journal.header
    if (header.lineage, header.serial) != (document.lineage, document.serial):
        return
    if journals.digest_of(encode_document(document).encode()) == header.document_digest:
        return
    meant = (
        f"move {path}.journal away, which loses its commits"
        if journal.entries
        else f"raise its serial to {document.serial + 1}"
    )
    raise StateDamaged(
        "The state was changed outside a run",
        f"{path} is at serial {document.serial}, but is not what was written with that serial.",
        f"Copy {path}.backup over it (that is the state before the last run). If you edited it by hand "
        f"on purpose, {meant}.",
    )


def _check_skipped(path: str, document: Document, journal: Journal) -> None:
    """Refuse a JSON whose serial claims commits that its content lacks.

    A fold puts every line into the JSON, so to apply them again changes nothing. A serial
    raised by hand would otherwise hide commits for good.
    """
    skipped = [entry for entry in journal.entries if entry.serial <= document.serial]
    again = _with_entries(document, skipped)
    if again.intents != document.intents or again.backfills != document.backfills:
        raise StateDamaged(
            "Commits are missing from the state",
            f"{path} says serial {document.serial}, but lacks what {path}.journal committed up to it.",
            f"If it was edited by hand, set its serial back to {journal.header.serial}; otherwise copy "
            f"{path}.backup over it.",
        )


def _with_entries(document: Document, entries: Sequence[JournalEntry]) -> Document:
    if not entries:
        return document
    applied = apply_deltas(document, [entry.delta for entry in entries])
    return replace(applied, written_by=entries[-1].written_by)
