from django.db import migrations, models


class Migration(migrations.Migration):
    """What runs now of a whole fleet is one range of the slots' starts, not a search in each plan."""

    dependencies = [
        ('schedules', '0006_plans_by_day'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='planslot',
            index=models.Index(fields=['start_at'], name='slot_by_start'),
        ),
    ]
