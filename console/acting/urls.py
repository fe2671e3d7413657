"""Acting on a plant: the box, what it is checked against, and what stands above a plan."""

from django.urls import URLPattern, URLResolver, path

from console.acting import above, views

app_name = "acting"
urlpatterns: list[URLPattern | URLResolver] = [
    path("<int:plant_id>/act/", views.act, name="page"),
    path("<int:plant_id>/act/box/", views.box, name="box"),
    path("<int:plant_id>/act/rows/", views.rows, name="rows"),
    path("<int:plant_id>/act/banner/", views.banner, name="banner"),
    path("<int:plant_id>/act/sent/<int:command_id>/", views.sent, name="sent"),
    path("<int:plant_id>/act/emergency/", above.emergency, name="emergency"),
    path("<int:plant_id>/act/release/", above.release_emergency, name="release"),
    path("<int:plant_id>/act/override/<int:override_id>/extend/", above.extend, name="extend"),
    path("<int:plant_id>/act/override/<int:override_id>/end/", above.end, name="end"),
    path("<int:plant_id>/act/<slug:tab>/check/", views.check, name="check"),
    path("<int:plant_id>/act/<slug:tab>/dry/", views.dry_run, name="dry"),
    path("<int:plant_id>/act/<slug:tab>/review/", views.review, name="review"),
    path("<int:plant_id>/act/<slug:tab>/send/", views.send_reviewed, name="send"),
]
