"""Files of plans between preview and confirmation: who confirms need not send the file again.

A file is its uploader's: nobody else sees or confirms it. What is not confirmed within a day is thrown away.
"""

from datetime import datetime, timedelta

from plants.errors import Invalid, NotFound
from plants.models import User
from schedules.csv_plans import MAX_BYTES
from schedules.models import PlanUpload
from vcp.said import said

KEPT = timedelta(days=1)
MOST_WAITING = 5
"""So many unconfirmed files of one person are kept; the oldest goes."""


def keep_upload(*, organisation_id: int, content: bytes, name: str, by: User, at: datetime) -> PlanUpload:
    """Store a file as it came; `Invalid` (TOO_LARGE) beyond what an import takes."""
    if len(content) > MAX_BYTES:
        raise Invalid(
            said("larger than %(limit)s MB", limit=MAX_BYTES // 1024 // 1024), path="file", code="TOO_LARGE"
        )
    kept = PlanUpload.objects.create(
        organisation_id=organisation_id, name=name[:200], content=content, made_at=at, by=by
    )
    newest = PlanUpload.objects.filter(by=by).order_by("-pk").values_list("pk", flat=True)[:MOST_WAITING]
    PlanUpload.objects.filter(by=by).exclude(pk__in=list(newest)).delete()
    return kept


def find_upload(*, upload_id: int, by: User) -> PlanUpload:
    """A person's own file; `NotFound` when it is somebody else's or gone."""
    found = PlanUpload.objects.select_related("organisation").filter(pk=upload_id, by=by).first()
    if found is None:
        raise NotFound(
            said("the file is not kept any more; upload it again"), path="file", code="UPLOAD_GONE"
        )
    return found


def drop_upload(*, upload_id: int) -> None:
    """It is imported, or nobody wants it."""
    PlanUpload.objects.filter(pk=upload_id).delete()


def prune_uploads(*, at: datetime) -> int:
    """Throw away what nobody confirmed within a day; how many that were."""
    return PlanUpload.objects.filter(made_at__lt=at - KEPT).delete()[0]
