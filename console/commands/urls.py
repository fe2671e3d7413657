"""The command screen: the list beside one command, its messages, its record, and what may be done about it."""

from django.urls import URLPattern, URLResolver, path

from console.commands import acting, views

app_name = "commands"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.command_list, name="list"),
    path("rows/", views.rows, name="rows"),
    path("news/", views.news, name="news"),
    path("<int:command_id>/", views.command, name="command"),
    path("<int:command_id>/proof/", views.proof, name="proof"),
    path("<int:command_id>/record/", views.record, name="record"),
    path("<int:command_id>/record.json", views.record_file, name="record-file"),
    path("<int:command_id>/cancel/", acting.cancel, name="cancel"),
    path("<int:command_id>/check/", acting.check, name="check"),
]
