"""Whether the API key reads over REST, and whether Voke's sites are the plants of this connection."""

from collections.abc import Sequence

from link.checkup_results import CheckResult, Facts, Step, Verdict, ok, problem
from link.checkup_walk import Walk
from link.rest import RestError, RestForbidden, RestLimits, Site, Sites, VokeRest
from plants.encryption import UndecryptableSecret
from plants.selectors.plants import resolve_sites
from vcp.said import Said, joined, said, said_many, told_by

_MOST_NAMED = 5
_READ_SCOPE = "vcp:read"


def check_rest(walk: Walk) -> CheckResult:
    """`GET /vcp/sites` with the key."""
    connection, options = walk.connection, walk.options
    if not connection.rest_base_url:
        return problem(Step.REST, "REST_NOT_SET", verdict=Verdict.UNKNOWN)
    limits = RestLimits(
        connect_s=options.connect_timeout_s, read_s=options.rest_timeout_s, total_s=2 * options.rest_timeout_s
    )
    try:
        key = str(connection.api_key or "")
        with VokeRest(base_url=connection.rest_base_url, api_key=key, limits=limits) as rest:
            sites = rest.sites()
    except UndecryptableSecret as error:
        return problem(Step.REST, "SECRET_UNREADABLE", told_by(error))
    except RestError as error:
        # A key that was never given the scope is no fault: everything over AMQP works without it.
        expected = (
            isinstance(error, RestForbidden) and connection.scopes and _READ_SCOPE not in connection.scopes
        )
        verdict = Verdict.WARNING if expected else Verdict.FAILED
        return problem(Step.REST, error.code, told_by(error), verdict=verdict, facts={"status": error.status})
    return _compare(walk, sites)


def _compare(walk: Walk, listed: Sites) -> CheckResult:
    sites = listed.sites
    names = {name for site in sites for name in (site.site_id, site.external_plant_id) if name}
    known = resolve_sites(connection_id=walk.connection.pk, site_ids=names)
    strange = [site for site in sites if site.site_id not in known and site.external_plant_id not in known]
    plants = dict(walk.connection.plants.values_list("pk", "external_plant_id"))
    missing = sorted(plants[pk] for pk in plants.keys() - set(known.values())) if listed.complete else []
    facts: Facts = {
        "sites": listed.total,
        "known": len(sites) - len(strange),
        "unknown_to_us": len(strange),
        "unknown_to_voke": len(missing),
    }
    words = said_many(
        "the key reads; Voke lists %(count)s site, %(known)s of them are plants here",
        "the key reads; Voke lists %(count)s sites, %(known)s of them are plants here",
        listed.total,
        known=len(sites) - len(strange),
    )
    differing = []
    if strange:
        differing.append(said("not ours: %(names)s", names=_named(_ids(strange))))
    if missing:
        differing.append(said("not at Voke: %(names)s", names=_named(missing)))
    if differing:
        return problem(
            Step.REST,
            "SITES_DIFFER",
            joined("; ", [words, *differing]),
            verdict=Verdict.WARNING,
            facts=facts,
        )
    return ok(Step.REST, words, facts=facts)


def _ids(sites: Sequence[Site]) -> list[str]:
    return [site.external_plant_id or site.site_id for site in sites]


def _named(names: Sequence[str]) -> Said:
    some, more = joined(", ", names[:_MOST_NAMED]), len(names) - _MOST_NAMED
    return said("%(names)s and %(count)s more", names=some, count=more) if more > 0 else some
