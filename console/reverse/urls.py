"""Addresses of the reverse channel's screen."""

from django.urls import path

from console.reverse import views

app_name = "reverse"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("journal/", views.journal, name="journal"),
    path("day/", views.day, name="day"),
    path("behind/", views.behind, name="behind"),
    path("pulls/<int:pull_id>/", views.pull, name="pull"),
    path("updates/<int:update_id>/<str:word>/", views.decide, name="decide"),
]
