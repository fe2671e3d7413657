"""Addresses of connecting a Voke: the list, one connection with its steps, credentials of the reverse channel."""

from django.urls import path

from console.connect import views, views_check, views_credentials, views_new, views_sites

app_name = "connect"
urlpatterns = [
    path("", views.list_page, name="list"),
    path("new/", views_new.new, name="new"),
    path("new/read/", views_new.read, name="read"),
    path("<int:connection_id>/", views.detail, name="detail"),
    path("<int:connection_id>/bundle/", views_new.replace, name="bundle"),
    path("<int:connection_id>/check/", views_check.check, name="check"),
    path("<int:connection_id>/check/lines/", views_check.lines, name="check_lines"),
    path("<int:connection_id>/sites/", views_sites.sites, name="sites"),
    path("<int:connection_id>/sites/lines/", views_sites.lines, name="sites_lines"),
    path("<int:connection_id>/reverse/", views_credentials.step, name="reverse"),
    path("<int:connection_id>/switch/<str:word>/", views.switch, name="switch"),
    path("credentials/", views_credentials.credentials, name="credentials"),
    path("credentials/issue/", views_credentials.issue, name="issue"),
    path("credentials/<int:credential_id>/<str:word>/", views_credentials.change, name="credential"),
]
