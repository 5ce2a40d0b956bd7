"""Before anything is sealed: does the control database hold the log that was published, and all of it?

control database            bucket              meaning                                    answer
size 90, published 80       80, same root       a seal was interrupted                     go on
size 90, published 80       90, same root       interrupted just before noting it          go on
size 70                     80                  an old control database was restored       refuse
size 90                     80, other root      two histories                              refuse
size 90, published 80       70 or nothing       the bucket was set back                    refuse
"""

from __future__ import annotations

from strongroom.audit.checkpoint import Checkpoint, open_checkpoint
from strongroom.audit.database import LogDatabase, LogState
from strongroom.audit.errors import LogForkedError, LogIntegrityError, LogRolledBackError
from strongroom.audit.tiles import TileTree
from strongroom.signing import VerifierKey


def check_history(
    database: LogDatabase, state: LogState, published: Checkpoint, verifier: VerifierKey
) -> None:
    """Compare the control database with what was signed and with what is published.

    Raises:
        LogRolledBackError: the control database is behind the bucket.
        LogForkedError: the two, or the tables and the last signed head, hold different histories.
        LogIntegrityError: the control database's own tables contradict one another.
    """
    if published.size > state.size:
        raise LogRolledBackError(
            f"The control database knows {state.size} audit entries, but {published.size} are published: "
            "an older state of it was restored. Nothing was signed.",
            hint="Restore its newest state, or run `strongroom audit recover`: it takes the published entries "
            "back into the control database, once they are proven to extend what it has.",
        )
    if published.size < state.published_size:
        raise LogForkedError(
            f"{state.published_size} audit entries were published, but the bucket's checkpoint says "
            f"{published.size}: the bucket was set back, or it is another one. Nothing was signed.",
            hint="Look at the older versions of log/checkpoint, and bring the newest back.",
        )
    tree = _checked_tree(database, state)
    _check_extends(tree, published, "the published checkpoint")
    if state.note:
        _check_extends(tree, open_checkpoint(state.note, verifier), "the last signed checkpoint")


def _checked_tree(database: LogDatabase, state: LogState) -> TileTree:
    tree = TileTree(state.size, database.tile)
    if database.last_seq() != state.size - 1 or tree.root() != state.root:
        raise LogIntegrityError(
            "The control database's audit tables contradict one another: entries, tiles or state were changed "
            "by hand. Nothing was signed.",
            hint="`strongroom audit verify` checks the published log; restore the control database.",
        )
    return tree


def _check_extends(tree: TileTree, head: Checkpoint, what: str) -> None:
    if head.size and (head.size > tree.size or tree.subtree(0, head.size) != head.root):
        raise LogForkedError(
            f"The control database's audit log does not extend {what} of {head.size} entries: these are two "
            "histories. Nothing was signed.",
            hint="Is this the right bucket for this control database? `strongroom audit verify` checks the bucket.",
        )
