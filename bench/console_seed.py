"""What an organisation has behind it besides samples: messages and proofs of commands, a journal, alarms, audit.

Rows are made by the server itself, on top of what `bench.console` made: 1,000,000 pulls, five cases with an alarm each
and five versions of time config per plant, 100,000 rows of audit, an update that waits for each fiftieth plant, 300
dead letters, 300 people.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MESSAGES = """
    INSERT INTO dispatch_outboundmessage (connection_id, plant_id, command_id, family, routing_key, message_id,
        correlation_id, body, signed, urgent, made_at, attempted_at, attempts, outcome, outcome_at, detail)
    SELECT connection_id, plant_id, id, 'site-setpoint', 'bench.site.setpoint', gen_random_uuid(), gen_random_uuid(),
           convert_to(json_build_object('messageId', id, 'timestamp', due_at, 'payload',
                                        json_build_object('power', -100, 'priority', 'NORMAL'))::text, 'UTF8'),
           TRUE, FALSE, due_at, due_at, 1, 'CONFIRMED', due_at + interval '20 ms', ''
      FROM dispatch_command WHERE organisation_id = %(organisation)s ORDER BY id
"""
_EVENTS = """
    INSERT INTO dispatch_commandevent (command_id, at, told_at, word, verdict, cause, actor, detail)
    SELECT id, due_at + late, CASE WHEN late > interval '50 ms' THEN due_at + late END, word, 'APPLIED', '', by, '{}'
      FROM dispatch_command
     CROSS JOIN (VALUES ('QUEUED', interval '0', 'plan'), ('SENT', '20 ms', 'relay'), ('ACCEPTED', '400 ms', 'Voke'),
                        ('EXECUTING', '2 s', 'Voke'), ('COMPLETED', '15 min', 'Voke')) AS step (word, late, by)
     WHERE organisation_id = %(organisation)s ORDER BY id, late
"""
_PROOFS = """
    INSERT INTO dispatch_verification (command_id, plant_id, begins_at, ends_at, rank, verdict, due_at, judged_at,
        from_at, to_at, unit, target, measured, off_by, tolerance, source, coverage_pct, samples, hint, looks,
        first_verdict)
    SELECT id, plant_id, due_at, due_at + interval '15 min', 0,
           CASE WHEN due_at > %(at)s::timestamptz - interval '20 min' THEN 'PENDING'
                WHEN id %% 40 = 0 THEN 'OFF_TARGET' ELSE 'VERIFIED' END,
           due_at + interval '17 min', due_at + interval '17 min', due_at + interval '1 min',
           due_at + interval '15 min', 'kW', -100, -98, 2, 5, 'TELEMETRY', 98, 84, '', 0, ''
      FROM dispatch_command WHERE organisation_id = %(organisation)s
"""
_PAYLOADS = """
    UPDATE dispatch_command
       SET payload = jsonb_build_object('type', 'POWER', 'targetValueKw', 100, 'direction', 'EXPORT',
                                        'priority', 'NORMAL', 'includeConsumption', true,
                                        'validFrom', due_at, 'duration', 900)
     WHERE organisation_id = %(organisation)s
"""
_VERSIONS = """
    WITH version AS (
      INSERT INTO plants_timeconfigversion (plant_id, number, origin, made_at, made_by_name, changes)
      SELECT id, number, 'VOKE', %(at)s::timestamptz - number * interval '1 day', 'voke', '[]'
        FROM unnest(%(plants)s::bigint[]) AS id CROSS JOIN generate_series(1, 5) AS number
      RETURNING id, plant_id
    )
    INSERT INTO plants_timeconfigblock (plant_id, version_id, start_minute, end_minute, p_bat_min_kw, p_bat_max_kw,
        soc_min_pct, soc_max_pct)
    SELECT plant_id, id, hour * 60, hour * 60 + 60, -50, 50, 10, 90
      FROM version CROSS JOIN generate_series(0, 23) AS hour
"""
_CREDENTIAL = """
    INSERT INTO trading_api_credential (organisation_id, label, client_id, secret_hash, pepper_version, enabled,
        revision, created_at, last_token_at)
    VALUES (%(organisation)s, 'Voke', 'bench-console', repeat('0', 64), '1', TRUE, 1, %(at)s, %(at)s)
"""
_PULLS = """
    INSERT INTO trading_api_pulljournal (at, count, organisation_id, credential_id, plant_id, client_id, address,
        request_id, endpoint, method, plant_ref, version, status, result, detail, latency_ms, bytes_in, bytes_out, body)
    SELECT %(at)s::timestamptz - (%(pulls)s - number) * interval '500 ms', 1, plant.organisation_id, credential.id,
           plant.id, 'bench-console', '10.0.0.7', number, 'config', 'GET', plant.external_plant_id, 5,
           CASE WHEN number %% 997 = 0 THEN 404 ELSE 200 END, '', '', 4, 300, 2100, ''
      FROM generate_series(1, %(pulls)s) AS number
      JOIN LATERAL (SELECT (%(plants)s::bigint[])[1 + number %% cardinality(%(plants)s::bigint[])] AS id) AS one ON TRUE
      JOIN plants_plant AS plant ON plant.id = one.id
     CROSS JOIN (SELECT id FROM trading_api_credential WHERE client_id = 'bench-console') AS credential
     ORDER BY number
"""
_SERVED = """
    INSERT INTO trading_api_servedversion (credential_id, plant_id, number, served_at)
    SELECT credential.id, plant, CASE WHEN plant %% 90 = 0 THEN 4 ELSE 5 END, %(at)s
      FROM unnest(%(plants)s::bigint[]) AS plant
     CROSS JOIN (SELECT id FROM trading_api_credential WHERE client_id = 'bench-console') AS credential
"""
_UPDATES = """
    INSERT INTO trading_api_configupdaterequest (request_id, plant_id, credential_id, blocks, state, held_because,
        based_on, asked_at, decided_by_name, note)
    SELECT gen_random_uuid(), plant, credential.id,
           '[{"start_minute": 0, "end_minute": 1440, "p_bat_min_kw": -40, "p_bat_max_kw": 40, "soc_min_pct": 10,
              "soc_max_pct": 90}]', 'OPEN', 'POLICY', 5, %(at)s, '', ''
      FROM unnest(%(plants)s::bigint[]) AS plant
     CROSS JOIN (SELECT id FROM trading_api_credential WHERE client_id = 'bench-console') AS credential
     WHERE plant %% 50 = 0
"""
_CASES = """
    WITH one AS (
      SELECT number, (%(plants)s::bigint[])[1 + number %% cardinality(%(plants)s::bigint[])] AS plant_id,
             number %% 5 = 0 AS open, %(at)s::timestamptz - number * interval '5 min' AS raised_at
        FROM generate_series(1, %(cases)s) AS number
    ), made AS (
      INSERT INTO plants_alarmcase (organisation_id, plant_id, connection_id, origin, code, device_id, fold_key,
          is_current, severity, rank, is_raised, standing, occurrences, first_raised_at, last_raised_at, cleared_at,
          closed_at, closed_why)
      SELECT plant.organisation_id, plant.id, plant.connection_id, 'VOKE', 'BENCH_' || number %% 9, '',
             'bench-' || number, open, CASE WHEN number %% 3 = 0 THEN 'ERROR' ELSE 'WARNING' END,
             CASE WHEN number %% 3 = 0 THEN 2 ELSE 1 END, open, open::int, 1, raised_at, raised_at,
             CASE WHEN NOT open THEN raised_at + interval '4 min' END,
             CASE WHEN NOT open THEN raised_at + interval '9 min' END, CASE WHEN NOT open THEN 'done' ELSE '' END
        FROM one JOIN plants_plant AS plant ON plant.id = one.plant_id ORDER BY number
      RETURNING *
    ), alarm AS (
      INSERT INTO plants_alarm (organisation_id, connection_id, plant_id, origin, alarm_id, severity, code, message,
          device_id, raised_at, cleared_at, told_at, received_at, breached_field, case_id)
      SELECT NULL, connection_id, plant_id, 'VOKE', 'bench-case-' || id, severity, code, 'Out of bounds', '',
             first_raised_at, cleared_at, first_raised_at, first_raised_at, '', id
        FROM made
      RETURNING *
    )
    INSERT INTO plants_alarmoccurrence (case_id, alarm_id, raised_at, cleared_at, severity)
    SELECT case_id, id, raised_at, cleared_at, severity FROM alarm
"""
_LATEST = """
    UPDATE plants_alarmcase SET latest_id = alarm.id FROM plants_alarm AS alarm
     WHERE alarm.case_id = plants_alarmcase.id AND plants_alarmcase.organisation_id = %(organisation)s
"""
_AUDIT = """
    INSERT INTO people_auditentry (organisation_id, user_name, as_staff, action, subject, subject_path, reason, after,
        address, at)
    SELECT %(organisation)s, 'ann', FALSE, 'command.sent', 'Plant ' || number %% 1000, '/console/commands/1/', 'price',
           '{"power_kw": -100}', '10.0.0.8', %(at)s::timestamptz - (%(audit)s - number) * interval '1 min'
      FROM generate_series(1, %(audit)s) AS number ORDER BY number
"""
_LETTERS = """
    INSERT INTO plants_deadletter (connection_id, queue, routing_key, headers, body, digest, reason, path, detail,
        state, count, others, first_at, last_at)
    SELECT (SELECT connection_id FROM plants_plant WHERE id = (%(plants)s::bigint[])[1]), 'bench.events', 'bench', '{}',
           '{}', md5(number::text), 'schema', 'payload', 'not an object', 'OPEN', 1, 0, %(at)s, %(at)s
      FROM generate_series(1, 300) AS number
"""
_LINKS = """
    INSERT INTO plants_linkhealth (connection_id, role, holder, state, since, seen_at, last_event_at, error_code,
        last_error, unstored_count)
    SELECT connection_id, role, 'bench', 'CONNECTED', %(at)s::timestamptz - interval '2 h', %(at)s, %(at)s, '', '', 0
      FROM plants_plant CROSS JOIN (VALUES ('PUBLISH'), ('CONSUME')) AS roles (role)
     WHERE plants_plant.id = (%(plants)s::bigint[])[1]
"""
_PEOPLE = """
    INSERT INTO plants_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
        date_joined, organisation_id, role, theme)
    SELECT '!', FALSE, 'bench-' || number, 'Ann', 'Bench ' || number, 'ann' || number || '@example.org', FALSE, TRUE,
           %(at)s, %(organisation)s, 'VIEWER', 'system'
      FROM generate_series(1, %(people)s) AS number
"""
TABLES = (
    "dispatch_command", "dispatch_outboundmessage", "dispatch_commandevent", "dispatch_verification",
    "plants_timeconfigversion", "plants_timeconfigblock", "trading_api_pulljournal", "trading_api_servedversion",
    "trading_api_configupdaterequest", "plants_alarmcase", "plants_alarm", "plants_alarmoccurrence",
    "people_auditentry", "plants_deadletter", "plants_linkhealth",
    "plants_user",
)  # fmt: skip
_STATEMENTS: Sequence[str] = (
    _PAYLOADS, _MESSAGES, _EVENTS, _PROOFS, _VERSIONS, _CREDENTIAL, _PULLS, _SERVED, _UPDATES, _CASES, _LATEST, _AUDIT,
    _LETTERS, _LINKS, _PEOPLE,
)  # fmt: skip


def seed_past(database: Any, about: Mapping[str, Any], *, quick: bool) -> None:
    """Make all of it; `about` names the plants, their organisation and the present."""
    counts = {"pulls": 50_000, "audit": 5_000, "people": 30}
    if not quick:
        counts = {"pulls": 1_000_000, "audit": 100_000, "people": 300}
    counts["cases"] = 5 * len(about["plants"])
    for statement in _STATEMENTS:
        database.execute(statement, {**about, **counts})
    for table in TABLES:
        database.execute(f"VACUUM (ANALYZE) {table}")
