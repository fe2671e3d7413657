"""PostgreSQL refuses to change or delete the history of an alarm, but for two things: retention, which says so in its
own transaction, and the person who is gone (their key becomes NULL, the name stays)."""

from django.db import migrations

CREATE = """
CREATE FUNCTION plants_alarm_notes_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF coalesce(current_setting('esm.alarm_retention', true), '') = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'notes of alarms are not deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.by_id IS NULL AND (to_jsonb(NEW) - 'by_id') = (to_jsonb(OLD) - 'by_id') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'notes of alarms are not changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plants_alarm_notes_are_append_only BEFORE UPDATE OR DELETE ON plants_alarmnote
    FOR EACH ROW EXECUTE FUNCTION plants_alarm_notes_are_append_only();
"""
DROP = """
DROP TRIGGER IF EXISTS plants_alarm_notes_are_append_only ON plants_alarmnote;
DROP FUNCTION IF EXISTS plants_alarm_notes_are_append_only();
"""


def _run(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statements)

    return run


class Migration(migrations.Migration):
    dependencies = [
        ("plants", "0014_people_roles"),
    ]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
