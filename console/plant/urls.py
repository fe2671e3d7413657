"""Addresses of a plant's page, its tabs, and the parts that it loads."""

from django.urls import URLPattern, URLResolver, path

from console.plant import tabs, views

app_name = "plant"
urlpatterns: list[URLPattern | URLResolver] = [
    path("<int:plant_id>/", views.overview_page, name="page"),
    path("<int:plant_id>/day/", views.day_data, name="day"),
    path("<int:plant_id>/now/", views.now_part, name="now"),
    path("<int:plant_id>/last/", views.last_part, name="last"),
    path("<int:plant_id>/config/", tabs.config_page, name="config"),
    path("<int:plant_id>/alarms/", tabs.alarms_page, name="alarms"),
    path("<int:plant_id>/meter/", tabs.meter_page, name="meter"),
    path("<int:plant_id>/history/", tabs.history_page, name="history"),
]
