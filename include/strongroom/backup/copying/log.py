"""Copying the published audit log: entries and tiles first, the checkpoint last, and never one that goes back.

A copy's checkpoint is somebody's memory of the log. One that the published log does not extend means that
history was changed there, and then nothing of the log is copied over it.
"""

from __future__ import annotations

from strongroom.audit.published import CHECKPOINT_KEY, LOG_PREFIX, PublishedLog
from strongroom.audit.verify import check_extends
from strongroom.backup.copying.transfer import put_document
from strongroom.signing import VerifierKey
from strongroom.storage import ObjectStore

_MAX_OBJECT_BYTES = 32 << 20
"""More than a full bundle of the longest entries."""


def copy_log(source: ObjectStore, target: ObjectStore, trusted: VerifierKey) -> int:
    """Bring the copy's log up to the published one.

    Returns:
        How many objects were written.

    Raises:
        CheckpointError: a checkpoint is not signed by the trusted key.
        ProofError: the published log does not extend the copy's. Nothing was copied.
        CopyDiffersError: the copy holds other content under a name of the log's.
    """
    head = PublishedLog(source, trusted).head()
    known = PublishedLog(target, trusted).head()
    if head.etag is None or head.note == known.note:
        return 0
    if known.etag is not None:
        check_extends(source, trusted, known.note)
    present = {info.key for info in target.list(LOG_PREFIX)}
    written = 0
    for info in source.list(LOG_PREFIX):
        if info.key not in present and info.key != CHECKPOINT_KEY:
            data = source.get_bytes(info.key, max_bytes=_MAX_OBJECT_BYTES)
            written += put_document(target, info.key, data, changes=False)
    return written + put_document(target, CHECKPOINT_KEY, head.note.encode(), changes=True)
