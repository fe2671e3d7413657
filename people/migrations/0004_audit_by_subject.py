"""What was done to one thing is found without reading the whole audit."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("people", "0003_audit_is_append_only")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                condition=models.Q(("subject_path", ""), _negated=True),
                fields=["organisation", "subject_path"],
                name="audit_by_subject",
                opclasses=["int8_ops", "varchar_pattern_ops"],
            ),
        ),
    ]
