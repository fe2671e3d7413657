"""PostgreSQL refuses to change or delete an audit entry, but for two things: retention, which says so in its own
transaction, and the person who is gone (their key becomes NULL, the name stays)."""

from django.db import migrations

CREATE = """
CREATE FUNCTION people_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF coalesce(current_setting('esm.audit_retention', true), '') = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit entries are not deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.user_id IS NULL AND (to_jsonb(NEW) - 'user_id') = (to_jsonb(OLD) - 'user_id') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit entries are not changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER people_audit_is_append_only BEFORE UPDATE OR DELETE ON people_auditentry
    FOR EACH ROW EXECUTE FUNCTION people_audit_is_append_only();
"""
DROP = """
DROP TRIGGER IF EXISTS people_audit_is_append_only ON people_auditentry;
DROP FUNCTION IF EXISTS people_audit_is_append_only();
"""


def _run(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == 'postgresql':
            schema_editor.execute(statements)

    return run


class Migration(migrations.Migration):

    dependencies = [
        ('people', '0002_signing_in'),
    ]

    operations = [migrations.RunPython(_run(CREATE), _run(DROP))]
