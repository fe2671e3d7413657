"""The tables of the room are what the models say, on both databases."""

import pytest
from django.db import connection

from metering.models import MeterHour, MeterQuarter, TelemetryHour, TelemetryQuarter


@pytest.mark.django_db
@pytest.mark.parametrize("model", [TelemetryQuarter, TelemetryHour, MeterQuarter, MeterHour])
def test_a_table_made_by_hand_has_the_columns_of_its_model(model):
    with connection.cursor() as cursor:
        found = {
            one.name: one
            for one in connection.introspection.get_table_description(cursor, model._meta.db_table)
        }

    assert set(found) == {field.column for field in model._meta.concrete_fields}
    assert {name for name, one in found.items() if one.null_ok} == {
        field.column for field in model._meta.concrete_fields if field.null
    }
