"""Addresses of the schedules' list and of a plant's planned day."""

from django.urls import URLPattern, URLResolver, path

from console.plans import views_copying, views_day, views_ending, views_import, views_list, views_publish

app_name = "plans"
_DAY = "plants/<int:plant_id>/plan/<str:day>"
urlpatterns: list[URLPattern | URLResolver] = [
    path("plans/", views_list.list_page, name="list"),
    path("plans/start/", views_list.start_page, name="start"),
    path("plans/import/", views_import.upload_page, name="import"),
    path("plans/import/<int:upload_id>/", views_import.preview_page, name="import_preview"),
    path("plants/<int:plant_id>/plan/", views_day.today_page, name="today"),
    path(f"{_DAY}/", views_day.day_page, name="day"),
    path(f"{_DAY}/check/", views_day.check_endpoint, name="check"),
    path(f"{_DAY}/save/", views_day.save_endpoint, name="save"),
    path(f"{_DAY}/state/", views_day.state_endpoint, name="state"),
    path(f"{_DAY}/versions/", views_day.versions_part, name="versions"),
    path(f"{_DAY}/export/", views_day.export_file, name="export"),
    path(f"{_DAY}/review/", views_publish.review_part, name="review"),
    path(f"{_DAY}/publish/", views_publish.publish_endpoint, name="publish"),
    path(f"{_DAY}/copy/", views_copying.copy_part, name="copy"),
    path(f"{_DAY}/fill/", views_copying.fill_endpoint, name="fill"),
    path(f"{_DAY}/discard/", views_ending.discard_part, name="discard"),
    path(f"{_DAY}/cancel/", views_ending.cancel_part, name="cancel"),
]
