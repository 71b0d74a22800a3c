"""A team's branch: looking at it, and pushing to it until it is known what became of that."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from shlex import quote

from reconciler.errors import StateDamaged, StateError
from reconciler.formats.commands import lines
from reconciler.formats.statefile import decode_document
from reconciler.model.memory import Document
from reconciler.stores.base import Revision, revision_of
from reconciler.stores.gitrepo import Answer, GitRepo, Pushed, Update
from reconciler.stores.gitwords import GitFailed, Kind, refused, unwritable
from reconciler.stores.holders import LONGEST, Committed, committed_of
from reconciler.stores.ownership import changed, check_expected, check_not_older, check_owner
from reconciler.untrusted import printable, without_password
from reconciler.uptime import uptime

MOVED_FILE = "moved.json"  # beside the document, and later in its stead: where it went
_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before looking again at a host that is away
_PATIENCE = 240.0  # seconds after which a host that falls silent again and again is asked no more


@dataclass(frozen=True, slots=True)
class Known:
    """A commit of the branch ("": there is none), the document in it, and the commit that ``last`` names.

    ``moved``: what the commit says of where the document went.
    """

    commit: str
    document: Document | None
    last: str
    moved: Committed | None = None

    @property
    def revision(self) -> Revision:
        return revision_of(self.document)


class StateBranch:
    """The branch ``refs/heads/PREFIX/team-5`` of one team, and where the last run left it.

    ``known`` is what was last seen or pushed. ``heard`` is called when a push was answered, before that is
    believed; what it raises as ``OSError`` is a lost answer. Every method may raise ``GitFailed``.
    """

    def __init__(
        self,
        repo: GitRepo,
        prefix: str,
        blank: Document,
        sleep: Callable[[float], None],
        heard: Callable[[], None],
    ) -> None:
        name = f"team-{blank.team_id}"
        self.file = f"{name}.json"
        self.source = f"git:{printable(without_password(repo.remote), '?')}#{prefix}/{name}"
        self.last_ref = f"refs/reconciler/{prefix}/{name}/last"
        self.known: Known | None = None
        self._ref = f"refs/heads/{prefix}/{name}"
        self._repo = repo
        self._blank = blank
        self._sleep = sleep
        self._heard = heard
        self._noted: tuple[str, Committed | None] = ("", None)

    def put(self, known: Known, wanted: Known) -> None:
        """Push ``wanted`` in the place of what is known; when this returns it has landed."""
        self.known, was_unclear, began = None, False, uptime()
        try:
            for pause in _PAUSES:
                pushed = self._push(Update(self._ref, wanted.commit, known.commit))
                was_unclear = was_unclear or pushed.answer is Answer.UNCLEAR
                there = wanted if pushed.answer is Answer.LANDED else self._after(known, wanted)
                if there is not None:
                    self.known = there
                    return
                is_refused = pushed.answer is Answer.REFUSED and not _is_in_use(pushed.said)
                if is_refused or uptime() - began > _PATIENCE:
                    break
                self._sleep(pause)
        except BaseException as error:
            self.known = None
            if isinstance(error, GitFailed):  # of the look: what an unclear push did stays unknown
                raise unwritable(self.source, error, was_unclear) from error
            raise
        if pushed.answer is Answer.REFUSED and not was_unclear:  # else an earlier one may land yet
            raise refused(self.source, pushed.said)
        raise unwritable(self.source, GitFailed(pushed.said), was_unclear)

    def note_last(self, commit: str, before: str) -> bool:
        """Have ``last`` name a commit ("": none) that has landed; tell whether it does. The branch alone is
        enough to be right: this one tells if that is lost.
        """
        with suppress(GitFailed):
            landed = self._repo.push(Update(self.last_ref, commit, before))[self.last_ref].answer
            if landed is Answer.LANDED and self.known is not None:
                self.known = replace(self.known, last=commit)
            return landed is Answer.LANDED or self._repo.look(self.last_ref).get(self.last_ref, "") == commit
        return False

    def move_last_on(self, commit: str) -> None:
        """Have ``last`` name a commit of ours, unless it names a later one: another run ended meanwhile."""
        with suppress(GitFailed, StateError):
            before = self._repo.look(self.last_ref).get(self.last_ref, "")
            there, ours = self.committed(before), self.committed(commit)
            if ours and (there is None or (there.lineage == ours.lineage and there.serial < ours.serial)):
                self.note_last(commit, before)

    def erase(self, *refs: str) -> None:
        """Delete the branch, and these refs. Raises ``StateRefused``."""
        self.known = None
        there = self._repo.look(self._ref, *refs)
        pushed = self._repo.push(*(Update(ref, "", at) for ref, at in there.items())) if there else {}
        for said in (one.said for one in pushed.values() if one.answer is Answer.REFUSED):
            raise refused(self.source, said)

    def _push(self, *updates: Update) -> Pushed:
        """Push the branch, and refs with it; where it is unknown whether it landed, it is unclear."""
        try:
            pushed = self._repo.push(*updates)[self._ref]
            self._heard()
        except OSError as error:
            return Pushed(Answer.UNCLEAR, str(error))
        except GitFailed as failed:
            is_refusal = failed.kind is Kind.NOT_ALLOWED
            return Pushed(Answer.REFUSED if is_refusal else Answer.UNCLEAR, failed.said)
        return pushed

    def _after(self, known: Known, wanted: Known) -> Known | None:
        """Look what became of a push: return what is there if ours is in it; ``None``: once more.

        Raises ``StateConflict`` if somebody else was first.
        """
        there = self.look_again()
        if there.commit == wanted.commit or (there.commit != known.commit and _is_in(wanted, there)):
            return there
        if there.commit != known.commit:
            check_not_older(there.revision, there.moved, self.source, self._gone)
            check_expected(there.revision, known.revision, self.source)
            raise changed(there.revision, known.revision, self.source)  # moved and taken back, say
        return None

    def look_again(self) -> Known:
        """Look, and again if the host is away for a moment."""
        for pause in _PAUSES:
            try:
                return self.look()
            except GitFailed as failed:
                if failed.kind is not Kind.AWAY:
                    raise
                self._sleep(pause)
        return self.look()

    def look(self) -> Known:
        """Look at the branch and fetch what it names. One that moves meanwhile is looked at again."""
        while True:
            at = self._repo.look(self._ref, self.last_ref)
            commit, last = at.get(self._ref, ""), at.get(self.last_ref, "")
            if self.known is not None and self.known.commit == commit:
                return replace(self.known, last=last)
            try:
                self._repo.fetch(*filter(None, [commit]))
            except GitFailed:
                if self._repo.look(self._ref).get(self._ref, "") == commit:
                    raise
                continue
            document, moved = self._content_of(commit) if commit else (None, None)
            self.known = Known(commit, document, last, moved)
            return self.known

    def _content_of(self, commit: str) -> tuple[Document | None, Committed | None]:
        """Return the document of a commit that is here, none where it was removed, and where it went."""
        names = self._repo.files(commit)
        moved = self._moved_in(commit, names)
        names = [name for name in names if name != MOVED_FILE]
        if not names:
            return None, moved
        if names != [self.file]:
            holds = printable(", ".join(names[:3])[:LONGEST], "?")
            detail = f"{self.source}: its branch holds {holds}, and should hold {self.file} alone."
            raise StateDamaged("The state is damaged", detail, self._put_back())
        document = decode_document(self._repo.content(commit, self.file), self.source, self._put_back())
        check_owner(document, self._blank, self.source)
        return document, moved

    def _moved_in(self, commit: str, names: list[str]) -> Committed | None:
        """Return where a commit says that the document went. Raises ``StateDamaged`` if it cannot be read."""
        if MOVED_FILE not in names:
            return None
        moved = committed_of(self._repo.content(commit, MOVED_FILE))
        if moved is None or not moved.moved:
            detail = f"{self.source}: {MOVED_FILE} does not say where the state went."
            raise StateDamaged("The state is damaged", detail, self._put_back())
        return moved

    def check_not_older(self, known: Known) -> None:
        """Refuse a branch that is older than what the last run committed.

        The two refs are not read at one moment: what seems older is looked at again.
        """
        check_not_older(known.revision, known.moved, self.source, self._gone)
        if known.last in ("", known.commit):
            return
        committed = self.committed(known.last)
        replaced = committed is not None and known.revision.lineage not in ("", committed.lineage)
        again = f"Put the newer state back:{self._from_last('--force ' if replaced else '')}\n"
        try:
            check_not_older(known.revision, committed, self.source, self._gone, again)
        except StateError:
            self.known = None
            check_not_older(self.look().revision, committed, self.source, self._gone, again)

    def committed(self, last: str) -> Committed | None:
        """Return what ``last`` names, if it is a state of ours."""
        if last and last != self._noted[0]:
            self._repo.fetch(last)
            found = None
            names = self._repo.files(last)
            if MOVED_FILE in names:
                found = self._moved_in(last, names)
            elif names == [self.file]:
                document = decode_document(
                    self._repo.content(last, self.file), f"{self.source}, {self.last_ref}"
                )
                check_owner(document, self._blank, f"{self.source}, {self.last_ref}")
                found = Committed(document.lineage, document.serial)
            self._noted = (last, found)
        return self._noted[1] if last else None

    def _gone(self, source: str) -> tuple[str, str]:
        """Return what became of a branch that is not there, and how to put it back."""
        return "is gone", f"Put it back, from where the last run left it:{self._from_last()}"

    def _from_last(self, force: str = "") -> str:
        """Return the commands that put back what the last run left."""
        remote = self._shown_remote
        return lines(
            f"git fetch {remote} {self.last_ref}", f"git push {force}{remote} FETCH_HEAD:{self._ref}"
        )

    @property
    def _shown_remote(self) -> str:
        return quote(printable(without_password(self._repo.remote), "?"))

    def _put_back(self) -> str:
        """Return how to go back to the commit before a damaged one."""
        push = f"git push --force {self._shown_remote} FETCH_HEAD~1:{self._ref}"
        told = "Nothing was changed. Its history has the good ones; to go back by one commit:"
        return told + lines(f"git fetch {self._shown_remote} {self._ref}", push)


def _is_in_use(said: str) -> bool:
    """Tell whether a ref was not moved because another push was moving it just then."""
    return "exists; cannot create" not in said and bool(
        re.search(r"cannot lock ref|\.lock'?: File exists", said)
    )


def _is_in(wanted: Known, there: Known) -> bool:
    """Tell whether the commit that made ``wanted`` is among those that made what is there now."""
    if wanted.document is None or wanted.moved is not None:
        return (there.document is None, there.moved) == (wanted.document is None, wanted.moved)
    return there.document is not None and wanted.document.commits[-1] in there.document.commits
