from django.db import migrations, models


class Migration(migrations.Migration):
    """The end of a day and the retention look plans up by their day, whoever's they are."""

    dependencies = [
        ('schedules', '0005_uploads'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='dayplan',
            index=models.Index(fields=['day', 'id'], name='plan_by_day'),
        ),
    ]
